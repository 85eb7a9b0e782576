// Conversions between float and the 16-bit storage types without branches or tables, so that loops
// over them vectorise inside the clones of run_simd. dtype.h has the same for single values.
#pragma once

#include <bit>
#include <cstdint>

#include "harness/core/device_function.h"
#include "harness/core/dtype.h"
#include "harness/core/simd.h"

namespace assay {

ASSAY_HOST_DEVICE float widen(float value) { return value; }

ASSAY_HOST_DEVICE float widen(bf16 value) {
  return __builtin_bit_cast(float, static_cast<std::uint32_t>(value.bits) << 16);
}

ASSAY_HOST_DEVICE float widen(f16 value) {
  constexpr std::uint32_t kRebias = 112u << 23;  // exponent biases: 127 - 15
  const std::uint32_t magnitude = value.bits & 0x7fffu;
  const std::uint32_t sign = (value.bits & 0x8000u) << 16;
  // Inf and NaN (exponent 31) are rebiased twice: 31 + 112 + 112 = 255.
  const std::uint32_t normal = (magnitude << 13) + kRebias + (magnitude >= 0x7c00u ? kRebias : 0u);
  // Multiples of 2^-24, from an integer: a subnormal float as an operand would be slow on some
  // machines.
  const auto subnormal = __builtin_bit_cast(
      std::uint32_t, static_cast<float>(static_cast<std::int32_t>(magnitude)) * 0x1p-24f);
  const std::uint32_t choose = 0u - static_cast<std::uint32_t>(magnitude < 0x400u);
  return __builtin_bit_cast(float, (subnormal & choose) | (normal & ~choose) | sign);
}

// To nearest, ties to even.
template <class T>
T narrow(float value);

template <>
ASSAY_INLINE float narrow<float>(float value) {
  return value;
}

template <>
ASSAY_INLINE bf16 narrow<bf16>(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t rounded =
      (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;  // a carry out of the fraction is right
  const std::uint32_t quiet = bits >> 16 | 0x40u;
  return {static_cast<std::uint16_t>((bits & 0x7fffffffu) > 0x7f800000u ? quiet : rounded)};
}

template <>
ASSAY_INLINE f16 narrow<f16>(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  const std::uint32_t sign = bits >> 16 & 0x8000u;
  const std::uint32_t normal = ((magnitude + 0xfffu + (magnitude >> 13 & 1u)) >> 13) - (112u << 10);
  // Below 2^-14: 0.5f has an ulp of 2^-24, the spacing of subnormals, so this addition rounds where
  // it must.
  const std::uint32_t subnormal =
      std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) + 0.5f) - 0x3f000000u;
  std::uint32_t result = magnitude < 0x38800000u ? subnormal : normal;
  result =
      magnitude >= 0x477ff000u ? 0x7c00u : result;  // from 65520 on, half an ulp beyond the largest
  result = magnitude > 0x7f800000u ? (0x7e00u | (magnitude >> 13 & 0x3ffu)) : result;
  return {static_cast<std::uint16_t>(result | sign)};
}

}  // namespace assay
