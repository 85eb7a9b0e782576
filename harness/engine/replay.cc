#include "harness/engine/replay.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "harness/core/composite.h"
#include "harness/core/registry.h"
#include "harness/engine/interval.h"

namespace assay {
namespace {

constexpr int kNothingYet = 0xff;  // bytes of a NaN in every dtype

// 1 or -1: bits of the index, well mixed.
double sign(std::int64_t index) {
  return (static_cast<std::uint64_t>(index + 1) * 0x9e3779b97f4a7c15 >> 63) != 0 ? 1 : -1;
}

void round_into(const TensorView& to, const Expected& from, Inside inside) {
  dispatch(to.spec.dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    for (std::int64_t i = 0; i < from.size; ++i) {
      const auto at = static_cast<std::size_t>(i);
      const double error = inside == Inside::exact ? 0 : sign(i) * from.bound[at];
      to.as<T>()[i] = round_to<T>(from.value[at] + error);
    }
  });
}

}  // namespace

Replay::Replay(const Variant& composite, const Problem& problem, const Tensors& inputs,
               Inside inside) {
  const auto allocate = [&](std::int64_t bytes) {
    void* const data = storage_.emplace_back(bytes).get();
    std::memset(data, kNothingYet, static_cast<std::size_t>(bytes));
    return data;
  };
  for (const TensorSpec& spec : tensor_specs(op_of(problem), problem)) {
    void* const data = allocate(spec.bytes());
    if (const TensorView* const input = inputs.find(spec.name))
      std::memcpy(data, input->data, static_cast<std::size_t>(spec.bytes()));
    buffers_.tensors.add({spec, data});
  }
  buffers_.workspace = allocate(composite.workspace(problem).bytes);
  const auto placed = place(composite, problem, buffers_);
  for (const PlacedStep& step : placed->steps) {
    const Problem& part = step.step->problem;
    for (const Expected& output : op_of(part).reference(part, step.buffers.tensors, {}))
      round_into(step.buffers[output.output], output, inside);
  }
}

Problem shortened(const Problem& problem, std::int64_t tokens, std::int64_t dim,
                  std::optional<DType> dtype) {
  const Op& op = op_of(problem);
  Problem derived = default_problem(op, dtype.value_or(problem.dtype));
  for (const Problem::Dim& own : problem.dims) set_dim(derived, own.name, own.size);
  set_dim(derived, "T", std::min(problem.dim("T"), tokens));
  set_dim(derived, "D", std::min(problem.dim("D"), dim));
  for (const TensorDeclaration& tensor : op.tensors) {
    const auto own = problem.has(tensor.name) ? std::optional(problem.dtype_of(tensor.name))
                                              : std::nullopt;  // what `dtype=` implies
    set_tensor(op, derived, tensor.name, true, dtype ? dtype : own);
  }
  for (const Problem::Option& option : problem.options)
    set_option(op, derived, option.name, option.value);
  return derived;
}

double normwise_error(const TensorView& got, const Expected& want) {
  double error = 0, norm = 0;
  for (std::int64_t i = 0; i < want.size; ++i) {
    const double value = want.value[static_cast<std::size_t>(i)];
    const double difference = value_at(got.spec, got.data, i) - value;
    error += difference * difference;
    norm += value * value;
  }
  return error == 0 ? 0 : std::sqrt(error / norm);
}

}  // namespace assay
