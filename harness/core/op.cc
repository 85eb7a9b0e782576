#include "harness/core/op.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <utility>

#include "harness/core/error.h"

namespace assay {

double height(std::int64_t n, std::int64_t lanes) {
  const std::int64_t chain = (n + lanes - 1) / lanes;
  return std::exp2(std::ceil(std::log2(static_cast<double>(chain) +
                                       std::ceil(std::log2(static_cast<double>(lanes))) + 2)));
}

double unit_roundoff(DType dtype) {
  switch (dtype) {
    case DType::f16:
      return 0x1p-11;
    case DType::bf16:
      return 0x1p-8;
    case DType::f32:
      break;
  }
  return 0x1p-24;
}

std::string str(const Numerics& numerics) {
  std::string text = std::string(name(numerics.accumulate)) + " accumulation, height " +
                     str(OptionValue(numerics.summation_height));
  if (numerics.batch_height != 1)
    text += ", batch height " + str(OptionValue(numerics.batch_height));
  if (numerics.rescales > 0) text += ", " + str(OptionValue(numerics.rescales)) + " rescales";
  const auto rounded = [&](DType dtype, const char* what) {
    if (dtype != DType::f32) text += ", " + std::string(name(dtype)) + " " + what;
  };
  rounded(numerics.probabilities, "probabilities");
  rounded(numerics.weights, "weights");
  rounded(numerics.partials, "partials");
  if (numerics.truncates_mix) text += ", truncating mix";
  return text;
}

const Family* Op::find_family(std::string_view family) const {
  for (const Family& candidate : families)
    if (candidate.name == family) return &candidate;
  return nullptr;
}

bool Op::is_exact(std::string_view tensor) const {
  return std::any_of(tensors.begin(), tensors.end(), [&](const TensorDeclaration& declared) {
    return declared.name == tensor && declared.exact;
  });
}

std::vector<Expected> Op::reference(const Problem& problem, const Tensors& inputs,
                                    const Numerics& numerics) const {
  HostExpected expected;
  write_reference(problem, inputs, numerics, expected);
  return expected.take();
}

namespace {

bool is_updated(const Op& op, const TensorDeclaration& tensor, const Problem& problem) {
  const auto has_that_name = [&](const auto& declared) {
    return declared.name == tensor.inout_with;
  };
  if (std::any_of(op.tensors.begin(), op.tensors.end(), has_that_name))
    return problem.has(tensor.inout_with);
  return std::any_of(op.options.begin(), op.options.end(), has_that_name) &&
         problem.flag(tensor.inout_with);
}

}  // namespace

std::vector<TensorSpec> tensor_specs(const Op& op, const Problem& problem, Layout layout) {
  std::vector<TensorSpec> specs;
  for (const TensorDeclaration& declared : op.tensors) {
    if (!problem.has(declared.name)) continue;
    if (!declared.present_with.empty() && !problem.has(declared.present_with)) continue;
    const Role role = is_updated(op, declared, problem) ? Role::inout : declared.role;
    TensorSpec spec{declared.name, role, problem.dtype_of(declared.name), {}, {}};
    std::int64_t bytes = static_cast<std::int64_t>(size_of(spec.dtype));
    for (const std::string& axis : declared.shape) {
      spec.shape.push_back(problem.dim(axis));
      if (__builtin_mul_overflow(bytes, spec.shape.back(), &bytes))
        throw UsageError("tensor " + declared.name + " of `" + str(problem) +
                         "` has more bytes than 64 bits can count");
    }
    spec.strides.resize(spec.shape.size());
    constexpr std::int64_t kGap = 32;  // bytes: rows that are aligned to 16 stay so
    const std::int64_t gap =
        layout == Layout::padded ? kGap / static_cast<std::int64_t>(size_of(spec.dtype)) : 0;
    std::int64_t stride = 1;
    for (std::size_t axis = spec.shape.size(); axis-- > 0;) {
      spec.strides[axis] = stride;
      stride *= spec.shape[axis];
      if (axis + 1 == spec.shape.size() && axis > 0) stride += gap;
    }
    specs.push_back(std::move(spec));
  }
  return specs;
}

namespace {

// The place of a name in a list of the contract, which is that of a problem, too.
template <class List>
std::size_t place_of(const List& list, std::string_view name, const Problem& problem) {
  for (std::size_t i = 0; i < list.size(); ++i)
    if (list[i].name == name) return i;
  throw std::out_of_range(problem.op + " has nothing named " + std::string(name));
}

}  // namespace

Problem default_problem(const Op& op, DType dtype) {
  Problem problem;
  problem.op = op.name;
  problem.dtype = dtype;
  for (const TensorDeclaration& declared : op.tensors)
    problem.tensors.push_back(
        {declared.name, declared.dtype.value_or(dtype), !declared.optional, true, false});
  for (const DimSpec& dim : op.dims)
    problem.dims.push_back({dim.name, dim.default_size.value_or(0)});
  for (const OptionSpec& option : op.options)
    problem.options.push_back({option.name, option.default_value, true});
  return problem;
}

void set_dim(Problem& problem, std::string_view dim, std::int64_t size) {
  problem.dims[place_of(problem.dims, dim, problem)].size = size;
}

void set_tensor(const Op& op, Problem& problem, std::string_view tensor, bool present,
                std::optional<DType> dtype) {
  const std::size_t i = place_of(op.tensors, tensor, problem);
  const TensorDeclaration& declared = op.tensors[i];
  const DType implied = declared.dtype.value_or(problem.dtype);
  Problem::TensorType& type = problem.tensors[i];
  type.present = present;
  type.dtype = dtype.value_or(implied);
  type.dtype_named = type.dtype != implied;
  type.as_declared = !type.dtype_named && present == !declared.optional;
}

void set_option(const Op& op, Problem& problem, std::string_view option, OptionValue value) {
  const std::size_t i = place_of(op.options, option, problem);
  problem.options[i].is_default = value == op.options[i].default_value;
  problem.options[i].value = std::move(value);
}

Cost least_traffic(const Op& op, const Problem& problem) {
  Cost cost;
  for (const TensorSpec& spec : tensor_specs(op, problem)) {
    const auto bytes = static_cast<double>(spec.bytes());
    if (spec.role != Role::out) cost.bytes_read += bytes;
    if (spec.role != Role::in) cost.bytes_written += bytes;
  }
  return cost;
}

}  // namespace assay
