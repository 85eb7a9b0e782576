// For the tests of attnres_merge_bwd: a problem with its inputs in host memory, and its tokens in
// fp64.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "reference/attnres_merge_bwd.h"
#include "reference/op_data.h"

namespace assay::attnres_merge_bwd_testing {

class Data : public contract_testing::OpData {
 public:
  using OpData::OpData;

  Data& fill(const std::string& family, std::uint64_t seed = 1) {
    OpData::fill(family, seed);
    return *this;
  }

  // The tensor's values; those of an absent g are ones, of an absent dLSE or dP zeros.
  std::vector<float> values(const char* name) const {
    if (const TensorView* tensor = inputs.find(name)) return load_floats(*tensor);
    const bool is_g = std::strcmp(name, "g") == 0;
    const std::int64_t count =
        (is_g ? 1 : dim("T")) * (std::strcmp(name, "dLSE") == 0 ? 1 : dim("D"));
    return std::vector<float>(static_cast<std::size_t>(count), is_g ? 1.0f : 0.0f);
  }
  // Row `token` of P, O1 or dH; row 0 of w or g.
  Eigen::ArrayXd row(const char* name, std::int64_t token = 0) const {
    const std::vector<float> all = values(name);
    Eigen::ArrayXd result(dim("D"));
    for (std::int64_t d = 0; d < result.size(); ++d)
      result(d) = all[static_cast<std::size_t>(token * result.size() + d)];
    return result;
  }
  double number(const char* name, std::int64_t token) const {
    return values(name)[static_cast<std::size_t>(token)];
  }
  Eigen::ArrayXd c() const { return row("w") * row("g"); }

  AttnResMergeGradients<double> gradients(std::int64_t t,
                                          const AttnResMergeFactors<double>& factors = {}) const {
    return attnres_merge_bwd_token<double>(row("P", t), c(), row("O1", t), number("L1", t),
                                           row("dH", t), number("dLSE", t), problem.real("eps"),
                                           factors);
  }
};

}  // namespace assay::attnres_merge_bwd_testing
