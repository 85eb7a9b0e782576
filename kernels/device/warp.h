// Collectives of a full warp of 32 lanes: every lane must call, and none may have left.
#pragma once

#include "kernels/device/block.h"

namespace assay::ASSAY_TWIN {

inline constexpr unsigned kFullMask = 0xffffffffu;

// The value of lane `source`.
ASSAY_DEVICE float shuffle(float value, int source) {
  return __shfl_sync(kFullMask, value, source);
}

// The value of the lane whose index differs from this one's in the bits of `mask`.
ASSAY_DEVICE float shuffle_xor(float value, int mask) {
  return __shfl_xor_sync(kFullMask, value, mask);
}

// Sum over groups of lanes whose indices differ only in the bits from kFrom up to below kTo: the
// same bits in every lane.
template <int kFrom = 1, int kTo = kWarpSize>
ASSAY_DEVICE float warp_sum(float value) {
  ASSAY_UNROLL
  for (int bit = kFrom; bit < kTo; bit *= 2) value += shuffle_xor(value, bit);
  return value;
}

// Likewise the maximum. As fmax it passes over NaN: whoever needs NaN to stick must carry it in
// another value.
template <int kFrom = 1, int kTo = kWarpSize>
ASSAY_DEVICE float warp_max(float value) {
  ASSAY_UNROLL
  for (int bit = kFrom; bit < kTo; bit *= 2) value = fmaxf(value, shuffle_xor(value, bit));
  return value;
}

// kCount sums at once (a power of two, at most 32): lane i gets the sum of values[i % kCount] over
// the lanes that share Each step halves the values while it doubles the lanes added: 31 shuffles
// for 32 sums, where one sum alone takes 5.
template <int kCount>
ASSAY_DEVICE float warp_sum_each(const float (&values)[kCount]) {
  static_assert(kCount >= 1 && kCount <= kWarpSize && (kCount & (kCount - 1)) == 0);
  if constexpr (kCount == 1) {
    return values[0];
  } else {
    constexpr int kHalf = kCount / 2;
    const bool upper = (lane_index() & kHalf) != 0;
    float halved[kHalf];
    ASSAY_UNROLL
    for (int i = 0; i < kHalf; ++i) {
      const float keep = upper ? values[i + kHalf] : values[i];
      const float give = upper ? values[i] : values[i + kHalf];
      halved[i] = keep + shuffle_xor(give, kHalf);
    }
    return warp_sum_each(halved);
  }
}

}  // namespace assay::ASSAY_TWIN
