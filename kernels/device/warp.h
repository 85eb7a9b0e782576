// Collectives of a warp. Every lane of `mask` must call, at the same place, and none may have left;
// the mask names the caller. They do not order memory: sync_warp does.
#pragma once

#include <cstdint>
#include <type_traits>

#include "kernels/device/block.h"
#include "kernels/device/math.h"

namespace assay::ASSAY_TWIN {

inline constexpr unsigned kFullMask = 0xffffffffu;

#if ASSAY_SIMT
// What a lane brings to an exchange and takes away.
template <class T>
struct Exchange {
  T value, result;
  int argument;
};

// The last lane to arrive gives each lane lanes[f(lane, its argument)]->value, or its own where f
// names a lane outside of the mask: a device returns anything then.
template <class T, class F>
ASSAY_DEVICE T exchange(unsigned mask, const char* operation, T value, int argument, F) {
  Exchange<T> mine = {value, value, argument};
  executor::converge(mask, operation, mine, [](Exchange<T>* const* lanes, unsigned all) {
    for (int lane = 0; lane < kWarpSize; ++lane) {
      if (!(all >> lane & 1u)) continue;
      const int source = F{}(lane, lanes[lane]->argument);
      if (source >= 0 && source < kWarpSize && (all >> source & 1u))
        lanes[lane]->result = lanes[source]->value;
    }
  });
  return mine.result;
}
#endif

// The value of lane `source` % 32.
template <class T>
ASSAY_DEVICE T shuffle(T value, int source, unsigned mask = kFullMask) {
#if ASSAY_SIMT
  return exchange(mask, "shuffle", value, source, [](int, int from) { return from & 31; });
#else
  return __shfl_sync(mask, value, source);
#endif
}

// The value of the lane whose index differs from this one's in the low five bits of `bits`.
template <class T>
ASSAY_DEVICE T shuffle_xor(T value, int bits, unsigned mask = kFullMask) {
#if ASSAY_SIMT
  return exchange(mask, "shuffle_xor", value, bits,
                  [](int lane, int flip) { return lane ^ (flip & 31); });
#else
  return __shfl_xor_sync(mask, value, bits);
#endif
}

// The value of the lane `delta` % 32 below (up) or above (down) this one; the own one where there
// is none.
template <class T>
ASSAY_DEVICE T shuffle_up(T value, int delta, unsigned mask = kFullMask) {
#if ASSAY_SIMT
  return exchange(mask, "shuffle_up", value, delta,
                  [](int lane, int by) { return lane - (by & 31); });
#else
  return __shfl_up_sync(mask, value, static_cast<unsigned>(delta));
#endif
}
template <class T>
ASSAY_DEVICE T shuffle_down(T value, int delta, unsigned mask = kFullMask) {
#if ASSAY_SIMT
  return exchange(mask, "shuffle_down", value, delta,
                  [](int lane, int by) { return lane + (by & 31); });
#else
  return __shfl_down_sync(mask, value, static_cast<unsigned>(delta));
#endif
}

// The lanes of `mask` whose vote is true, as bits.
ASSAY_DEVICE unsigned vote_ballot(bool vote, unsigned mask = kFullMask) {
#if ASSAY_SIMT
  struct Vote {
    bool vote;
    unsigned result;
  } mine = {vote, 0};
  executor::converge(mask, "vote_ballot", mine, [](Vote* const* lanes, unsigned all) {
    unsigned votes = 0;
    for (int lane = 0; lane < kWarpSize; ++lane) {
      if ((all >> lane & 1u) && lanes[lane]->vote) votes |= 1u << lane;
    }
    for (int lane = 0; lane < kWarpSize; ++lane) {
      if (all >> lane & 1u) lanes[lane]->result = votes;
    }
  });
  return mine.result;
#else
  return __ballot_sync(mask, vote);
#endif
}
ASSAY_DEVICE bool vote_any(bool vote, unsigned mask = kFullMask) {
  return vote_ballot(vote, mask) != 0;
}
ASSAY_DEVICE bool vote_all(bool vote, unsigned mask = kFullMask) {
  return vote_ballot(!vote, mask) == 0;
}

#if ASSAY_SIMT
// A butterfly over groups of lanes whose indices differ only in the bits from kFrom up to below
// kTo, as one collective with the bits that the shuffles would give.
template <int kFrom, int kTo, class F>
ASSAY_DEVICE float butterfly(const char* operation, float value, F) {
  executor::converge(kFullMask, operation, value, [](float* const* lanes, unsigned) {
    float now[kWarpSize], next[kWarpSize];
    for (int lane = 0; lane < kWarpSize; ++lane) now[lane] = *lanes[lane];
    for (int bit = kFrom; bit < kTo; bit *= 2) {
      for (int lane = 0; lane < kWarpSize; ++lane) next[lane] = F{}(now[lane], now[lane ^ bit]);
      std::copy_n(next, kWarpSize, now);
    }
    for (int lane = 0; lane < kWarpSize; ++lane) *lanes[lane] = now[lane];
  });
  return value;
}
#endif

// Sum over groups of lanes whose indices differ only in the bits from kFrom up to below kTo: the
// same bits in every lane.
template <int kFrom = 1, int kTo = kWarpSize>
ASSAY_DEVICE float warp_sum(float value) {
#if ASSAY_SIMT
  return butterfly<kFrom, kTo>("warp_sum", value, [](float a, float b) { return a + b; });
#else
  ASSAY_UNROLL
  for (int bit = kFrom; bit < kTo; bit *= 2) value += shuffle_xor(value, bit);
  return value;
#endif
}

// Likewise the maximum. As fmax it passes over NaN: whoever needs NaN to stick must carry it in
// another value.
template <int kFrom = 1, int kTo = kWarpSize>
ASSAY_DEVICE float warp_max(float value) {
#if ASSAY_SIMT
  return butterfly<kFrom, kTo>("warp_max", value, [](float a, float b) { return maximum(a, b); });
#else
  ASSAY_UNROLL
  for (int bit = kFrom; bit < kTo; bit *= 2) value = maximum(value, shuffle_xor(value, bit));
  return value;
#endif
}

// kCount sums at once (a power of two, at most 32): lane i gets the sum of values[i % kCount] over
// the lanes that share i / kCount. Each step halves the values while it doubles the lanes added: 31
// shuffles for 32 sums, where one sum alone takes 5.
template <int kCount>
ASSAY_DEVICE float warp_sum_each(const float (&values)[kCount]) {
  static_assert(kCount >= 1 && kCount <= kWarpSize && (kCount & (kCount - 1)) == 0);
#if ASSAY_SIMT
  struct Lane {
    float values[kCount];
  } mine;
  for (int i = 0; i < kCount; ++i) mine.values[i] = values[i];
  executor::converge(kFullMask, "warp_sum_each", mine, [](Lane* const* lanes, unsigned) {
    // As the shuffles add: the lane with the bit keeps the upper half.
    for (int half = kCount / 2; half >= 1; half /= 2) {
      for (int lane = 0; lane < kWarpSize; ++lane) {
        if (lane & half) continue;
        float* lower = lanes[lane]->values;
        float* upper = lanes[lane | half]->values;
        for (int i = 0; i < half; ++i) {
          lower[i] = lower[i] + upper[i];
          upper[i] = upper[i + half] + lower[i + half];
        }
      }
    }
  });
  return mine.values[0];
#else
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
#endif
}

}  // namespace assay::ASSAY_TWIN
