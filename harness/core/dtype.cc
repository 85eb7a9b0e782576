// Names of the element types, and conversions of single values.
#include "harness/core/dtype.h"

#include <bit>
#include <cmath>
#include <string>

#include "harness/core/convert.h"

namespace assay {
namespace {

// Rounds to float so that a later rounding to fewer bits gives what one rounding of `value` would:
// what is inexact is truncated and its last bit set (round to odd). Sound for targets with at least
// two bits less, which 8 and 11 have of 24; likewise for subnormals, since those of bf16 and f16
// lie at least two bits above the last bit of a float there.
float round_to_odd(double value) {
  const auto nearest = static_cast<float>(value);
  if (static_cast<double>(nearest) == value || std::isnan(value)) return nearest;
  auto bits = std::bit_cast<std::uint32_t>(nearest);
  if (std::abs(static_cast<double>(nearest)) > std::abs(value)) --bits;
  return std::bit_cast<float>(bits | 1u);
}

}  // namespace

std::string_view name(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return "f32";
    case DType::f16:
      return "f16";
    case DType::bf16:
      return "bf16";
  }
  return "?";
}

std::optional<DType> parse_dtype(std::string_view text) {
  for (const DType dtype : kAllDTypes) {
    if (text == name(dtype)) return dtype;
  }
  return std::nullopt;
}

std::vector<std::string> dtype_names() {
  std::vector<std::string> names;
  for (const DType dtype : kAllDTypes) names.emplace_back(name(dtype));
  return names;
}

float to_float(f16 value) { return widen(value); }

template <>
float round_to<float>(double value) {
  return static_cast<float>(value);
}

template <>
f16 round_to<f16>(double value) {
  return narrow<f16>(round_to_odd(value));
}

template <>
bf16 round_to<bf16>(double value) {
  return narrow<bf16>(round_to_odd(value));
}

}  // namespace assay
