// Walking over a row of D elements with a whole block, and sums over the block: what the variants
// share that keep nothing of V between their passes.
#pragma once

#include "kernels/attnres_fwd/arguments.h"
#include "kernels/device/block.h"
#include "kernels/device/warp.h"

namespace assay::ASSAY_TWIN::attnres_fwd {

inline constexpr int kMaxWarps = 32;

// The sum of `value` over the block, in every thread; lanes first, then warps, in a fixed order.
ASSAY_DEVICE float block_sum(float value) {
  ASSAY_SHARED(sums, [kMaxWarps], float);
  value = warp_sum(value);
  sync_threads();  // the previous sum has been read
  if (lane_index() == 0) sums[warp_index()] = value;
  sync_threads();
  return warp_sum(lane_index() < num_warps() ? sums[lane_index()] : 0.0f);
}

// Calls body(d, kCount) for the parts of [begin, end) that fall to this thread: vectors of
// A::kPart where rows are aligned, single elements elsewhere. `kCount` is an integral
// constant.
template <int kCount>
struct Count {
  static constexpr int value = kCount;
};
template <class A, class Body>
ASSAY_DEVICE void for_each_part(const A& a, int begin, int end, const Body& body) {
  if (a.aligned) {
    constexpr int kSize = A::kPart;
    for (int d = begin + thread_index() * kSize; d < end; d += num_threads() * kSize) {
      body(d, Count<kSize>{});
    }
  } else {
    for (int d = begin + thread_index(); d < end; d += num_threads()) body(d, Count<1>{});
  }
}

template <class T, int kCount>
ASSAY_DEVICE void load_part(const T* row, int d, float (&x)[kCount]) {
  if constexpr (kCount == 1) {
    x[0] = widen(row[d]);
  } else {
    load_elements(row + d, x);
  }
}
template <int kCount>
ASSAY_DEVICE void load_part(const AnyInput& in, std::int64_t i, float (&x)[kCount]) {
  if constexpr (kCount == 1) {
    x[0] = in.load(i);
  } else {
    in.load(i, x);
  }
}
template <int kCount>
ASSAY_DEVICE void store_part(const AnyOutput& out, std::int64_t i, const float (&x)[kCount]) {
  if constexpr (kCount == 1) {
    out.store(i, x[0]);
  } else {
    out.store(i, x);
  }
}

// c = w⊙g of query q, elements d to d + kCount - 1.
template <class A, int kCount>
ASSAY_DEVICE void load_weights(const A& a, int q, int d, float (&c)[kCount]) {
  const std::int64_t i = static_cast<std::int64_t>(q) * a.dim + d;
  load_part(a.w, i, c);
  if (!a.g.present()) return;
  float g[kCount];
  load_part(a.g, i, g);
  ASSAY_UNROLL
  for (int j = 0; j < kCount; ++j) c[j] *= g[j];
}

// The roundings that a term meets in a sum over D elements by `threads` threads and block_sum:
// those of the thread's own running sum, then two trees.
inline double block_sum_height(const Problem& p, DType dtype, int threads) {
  const std::int64_t vector = dtype == DType::f32 ? 4 : 8;
  const std::int64_t own = ceil_div(p.dim("D"), threads * vector) * vector;
  return height(own + 10, 1);
}

}  // namespace assay::ASSAY_TWIN::attnres_fwd
