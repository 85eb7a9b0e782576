#include "harness/engine/contract.h"

#include <fmt/format.h>

#include <cmath>
#include <variant>

#include "harness/core/text.h"

namespace assay {

std::string contract_error(const Expected& expected, const Numerics& numerics, bool exact,
                           const TensorSpec* spec) {
  // The reference itself is rounded to fp64.
  const double unit = unit_roundoff(numerics.accumulate) * (1 - 0x1p-40);
  for (std::int64_t i = 0; i < expected.size; ++i) {
    const double value = expected.value[static_cast<std::size_t>(i)];
    const double bound = expected.bound[static_cast<std::size_t>(i)];
    if (!std::isfinite(value)) continue;
    const char* what =
        std::isnan(bound) ? "is not a number"
        : bound < 0       ? "is negative"
        : exact           ? (bound > 0 ? "is not 0, and the output is declared exact" : nullptr)
        : bound < unit * std::abs(value) ? "is smaller than one rounding of the accumulator"
                                         : nullptr;
    if (!what) continue;
    std::string place;
    if (spec)
      for (const std::int64_t at : coordinates(*spec, i))
        place += fmt::format("{}{}", place.empty() ? "" : ", ", at);
    else
      place = fmt::format("{}", i);
    return fmt::format("{}[{}]: the bound {:.9g} of {:.9g} {}", expected.output, place, bound,
                       value, what);
  }
  return "";
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
