// For the tests and the benchmark of attnres_fwd: a problem with its inputs in host memory, and two
// ways to get at values.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "harness/core/registry.h"

namespace assay::attnres_testing {

struct Shape {
  std::int64_t sources, queries, tokens, dim;
};

inline Problem make_problem(Shape s, DType v, DType w, bool has_g, double eps = 1e-6) {
  Problem p;
  p.op = "attnres_fwd";
  p.dtype = v;
  p.dims = {{"N", s.sources}, {"Q", s.queries}, {"T", s.tokens}, {"D", s.dim}};
  p.tensors = {{"V", v, true, true, false},
               {"w", w, true, w == v, w != v},
               {"g", w, has_g, !has_g, w != v},
               {"O", v, true, true, false},
               {"LSE", DType::f32, true, true, false}};
  p.options = {{"eps", eps, eps == 1e-6}};
  return p;
}

inline double load(const TensorView& tensor, std::int64_t i) {
  return dispatch(tensor.spec.dtype, [&](auto type) -> double {
    return to_float(tensor.as<typename decltype(type)::type>()[i]);
  });
}

inline void store(const TensorView& tensor, std::int64_t i, double value) {
  dispatch(tensor.spec.dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    tensor.as<T>()[i] = round_to<T>(value);
  });
}

// A problem and its inputs, zero until filled.
class Data {
 public:
  explicit Data(Problem p) : problem(std::move(p)) {
    for (const TensorSpec& spec : tensor_specs(op(), problem)) {
      if (spec.role != Role::in) continue;
      memory_.emplace_back(static_cast<std::size_t>(spec.bytes()));
      inputs.add({spec, memory_.back().data()});
    }
  }
  Data(Shape s, DType v, DType w, bool has_g, double eps = 1e-6)
      : Data(make_problem(s, v, w, has_g, eps)) {}
  Data(const Data&) = delete;
  Data& operator=(const Data&) = delete;

  static const Op& op() { return *find_op("attnres_fwd"); }

  Data& fill(const std::string& family, std::uint64_t seed = 1) {
    const Family* found = op().find_family(family);
    if (!found) throw std::out_of_range("attnres_fwd has no input family " + family);
    found->fill(problem, seed, inputs);
    return *this;
  }
  std::vector<Expected> reference(const Numerics& numerics = {}) const {
    return op().reference(problem, inputs, numerics);
  }
  double v(std::int64_t n, std::int64_t t, std::int64_t d) const {
    return load(inputs["V"], (n * problem.dim("T") + t) * problem.dim("D") + d);
  }
  // w⊙g, exact.
  double c(std::int64_t q, std::int64_t d) const {
    const std::int64_t i = q * problem.dim("D") + d;
    return load(inputs["w"], i) * (inputs.find("g") ? load(inputs["g"], i) : 1.0);
  }

  Problem problem;
  Tensors inputs;

 private:
  std::vector<std::vector<unsigned char>> memory_;
};

}  // namespace assay::attnres_testing
