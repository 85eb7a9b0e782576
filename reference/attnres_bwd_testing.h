// For the tests of attnres_bwd: a problem with its inputs in host memory, and its tokens in fp64.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "reference/attnres_bwd.h"
#include "reference/op_data.h"

namespace assay::attnres_bwd_testing {

class Data : public contract_testing::OpData {
 public:
  using OpData::OpData;

  static const Op& op() { return *find_op("attnres_bwd"); }
  Data& fill(const std::string& family, std::uint64_t seed = 1) {
    OpData::fill(family, seed);
    return *this;
  }

  // The tensor's values; those of an absent g are ones, others zeros.
  std::vector<float> values(const char* name) const {
    if (const TensorView* tensor = inputs.find(name)) return load_floats(*tensor);
    const std::int64_t rows = name[0] == 'd' && name[1] == 'V' ? dim("N") : dim("Q");
    const std::int64_t width = std::string(name) == "dLSE" ? 1 : dim("D");
    const std::int64_t count = rows * width * (name[0] == 'g' ? 1 : dim("T"));
    return std::vector<float>(static_cast<std::size_t>(count), name[0] == 'g' ? 1.0f : 0.0f);
  }

  // The part of one token in V or dO, or dLSE as one column.
  RowMatrix<double> token(const char* name, std::int64_t t) const {
    const std::vector<float> all = values(name);
    const std::int64_t width = std::string(name) == "dLSE" ? 1 : dim("D");
    RowMatrix<double> rows(static_cast<std::int64_t>(all.size()) / dim("T") / width, width);
    for (std::int64_t i = 0; i < rows.rows(); ++i)
      for (std::int64_t d = 0; d < width; ++d)
        rows(i, d) = all[static_cast<std::size_t>((i * dim("T") + t) * width + d)];
    return rows;
  }
  // w, g or their product (Q, D).
  RowMatrix<double> weights(const char* name) const {
    RowMatrix<double> rows(dim("Q"), dim("D"));
    const std::vector<float> all = values(name);
    for (std::int64_t i = 0; i < rows.size(); ++i)
      rows.data()[i] = all[static_cast<std::size_t>(i)];
    return rows;
  }
  RowMatrix<double> c() const { return weights("w").cwiseProduct(weights("g")); }

  AttnResGradients<double> gradients(std::int64_t t) const {
    return attnres_bwd_token<double>(token("V", t), c(), token("dO", t),
                                     token("dLSE", t).col(0).array(), problem.real("eps"));
  }
};

}  // namespace assay::attnres_bwd_testing
