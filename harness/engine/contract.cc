#include "harness/engine/contract.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <variant>
#include <vector>

#include "harness/core/parallel.h"
#include "harness/core/text.h"

namespace assay {

namespace {

// What is wrong with a bound; null: nothing.
const char* wrong_bound(double value, double bound, double unit, bool exact) {
  if (!std::isfinite(value)) return nullptr;
  return std::isnan(bound) ? "is not a number"
         : bound < 0       ? "is negative"
         : exact           ? (bound > 0 ? "is not 0, and the output is declared exact" : nullptr)
         : bound < unit * std::abs(value) ? "is smaller than one rounding of the accumulator"
                                          : nullptr;
}

}  // namespace

double least_relative_bound(const Numerics& numerics) {
  // The reference itself is rounded to fp64.
  return unit_roundoff(numerics.accumulate) * (1 - 0x1p-40);
}

std::string contract_error(const Expected& expected, const Numerics& numerics, bool exact,
                           const TensorSpec* spec) {
  const double unit = least_relative_bound(numerics);
  const auto wrong_at = [&](std::int64_t i) {
    const auto at = static_cast<std::size_t>(i);
    return wrong_bound(expected.value[at], expected.bound[at], unit, exact);
  };
  std::vector<std::int64_t> firsts(static_cast<std::size_t>(num_threads()), expected.size);
  parallel_for(expected.size, 1 << 14, [&](std::int64_t begin, std::int64_t end, int part) {
    for (std::int64_t i = begin; i < end; ++i) {
      if (!wrong_at(i)) continue;
      firsts[static_cast<std::size_t>(part)] = i;
      return;
    }
  });
  const std::int64_t first = *std::min_element(firsts.begin(), firsts.end());
  if (first == expected.size) return "";
  std::string place;
  if (spec)
    for (const std::int64_t at : coordinates(*spec, first))
      place += fmt::format("{}{}", place.empty() ? "" : ", ", at);
  else
    place = fmt::format("{}", first);
  const auto at = static_cast<std::size_t>(first);
  return fmt::format("{}[{}]: the bound {:.9g} of {:.9g} {}", expected.output, place,
                     expected.bound[at], expected.value[at], wrong_at(first));
}

std::string contract_id(const Op& op) {
  std::string text = op.name + "\n" + op.formula + "\n" + op.batch_dim + "\n";
  for (const DimSpec& dim : op.dims)
    text += fmt::format("dim {} {} {}\n", dim.name, dim.meaning, dim.default_size.value_or(0));
  for (const TensorDeclaration& tensor : op.tensors)
    text += fmt::format("tensor {} {} {} {} {} {} {} {} {}\n", tensor.name,
                        static_cast<int>(tensor.role), join(tensor.shape),
                        tensor.dtype ? name(*tensor.dtype) : "", tensor.optional, tensor.meaning,
                        tensor.inout_with, tensor.present_with, tensor.exact);
  for (const OptionSpec& option : op.options)
    text += fmt::format("option {} {} {} {} {}\n", option.name, option.meaning,
                        std::visit([](const auto& value) { return fmt::format("{}", value); },
                                   option.default_value),
                        option.min, option.max);
  for (const Family& family : op.families)
    text += fmt::format("family {} {}\n", family.name, family.meaning);
  return fmt::format("{:016x}", hash_of(text));
}

}  // namespace assay
