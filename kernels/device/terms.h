// Numbers as sums of bf16 terms: how operands that are not bf16 go through tensor cores without
// losing what fp32 keeps.
#pragma once

#include "kernels/device/vector.h"

namespace assay::ASSAY_TWIN {

// Terms that make a stored element exactly, but f32: within 2^-27 of it.
template <class T>
inline constexpr int kPlanes = sizeof(T) == 4            ? 3
                               : std::is_same_v<T, bf16> ? 1
                                                         : 2;

// Term i of x: the rest after the terms before it, rounded to nearest. What three leave is at most
// 2^-27 |x| (x = inf: NaN), but for terms below bf16's least subnormal.
template <int kCount>
ASSAY_DEVICE void split(float x, bf16 (&terms)[kCount]) {
  ASSAY_UNROLL
  for (int i = 0; i < kCount; ++i) {
    terms[i] = narrow<bf16>(x);
    x -= widen(terms[i]);
  }
}

// The terms of the two 16-bit elements of a word, as words of two bf16. Of f16, the first has 8
// bits of the fraction's 11, the second the other 3: cut off, not rounded, which takes fewer
// instructions.
template <class T>
ASSAY_DEVICE void split_word(std::uint32_t word, std::uint32_t (&planes)[kPlanes<T>]) {
  static_assert(sizeof(T) == 2);
  if constexpr (kPlanes<T> == 1) {
    planes[0] = word;
  } else {
    constexpr std::uint32_t kUpper = 0xffff0000u;
    const float low = element<T>(&word, 0), high = element<T>(&word, 1);
    const std::uint32_t low_first = as_bits(low) & kUpper, high_first = as_bits(high) & kUpper;
    planes[0] = low_first >> 16 | high_first;
    planes[1] =
        as_bits(low - as_float(low_first)) >> 16 | (as_bits(high - as_float(high_first)) & kUpper);
  }
}

}  // namespace assay::ASSAY_TWIN
