// For the tests of contracts: a problem of an op with its inputs in host memory.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "harness/core/registry.h"
#include "reference/families.h"

namespace assay::contract_testing {

class OpData {
 public:
  // Inputs are zero until filled.
  explicit OpData(Problem of) : problem(std::move(of)), op(op_of(problem)) {
    for (const TensorSpec& spec : tensor_specs(op, problem)) {
      if (spec.role == Role::out) continue;
      memory_.emplace_back(static_cast<std::size_t>(spec.bytes()));
      inputs.add({spec, memory_.back().data()});
    }
  }
  OpData(const OpData&) = delete;
  OpData& operator=(const OpData&) = delete;

  std::int64_t dim(const char* name) const { return problem.dim(name); }

  // What the harness does: the problem knows its family.
  void fill(const std::string& family, std::uint64_t seed = 1) {
    const Family* found = op.find_family(family);
    if (!found) throw std::out_of_range(op.name + " has no input family " + family);
    found->fill(problem, seed, inputs);
    problem.family = family;
  }
  bool applies(const Family& family) const {
    return !family.inapplicable || family.inapplicable(problem).empty();
  }
  std::vector<Expected> reference(const Numerics& numerics = {}) const {
    return op.reference(problem, inputs, numerics);
  }
  TensorSpec spec(const std::string& name) const {
    for (const TensorSpec& spec : tensor_specs(op, problem))
      if (spec.name == name) return spec;
    throw std::out_of_range(op.name + " has no tensor " + name);
  }

  Problem problem;
  const Op& op;
  Tensors inputs;

 private:
  std::vector<std::vector<unsigned char>> memory_;
};

// x rounded to a dtype.
inline float rounded(DType dtype, float x) {
  return dispatch(dtype, [&](auto type) -> float {
    return to_float(round_to<typename decltype(type)::type>(x));
  });
}

using Floats = std::vector<float>;

// Σ f(i) in fp32, in so many running sums and a tree.
template <class F>
float total(std::int64_t n, std::int64_t lanes, const F& f) {
  Floats sums(static_cast<std::size_t>(lanes));
  for (std::int64_t i = 0; i < n; ++i) sums[static_cast<std::size_t>(i % lanes)] += f(i);
  for (std::size_t width = sums.size() / 2; width > 0; width /= 2)
    for (std::size_t i = 0; i < width; ++i) sums[i] += sums[i + width];
  return sums[0];
}

}  // namespace assay::contract_testing
