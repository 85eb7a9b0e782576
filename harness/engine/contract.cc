#include "harness/engine/contract.h"

#include <fmt/format.h>

#include <cmath>

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

}  // namespace assay
