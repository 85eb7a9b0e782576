// From partial sums of X (Q,D), one of each of `parts` blocks, to dw = g⊙X and dg = w⊙X, added up
// in a fixed order. A: the arguments of an op that has w, g, dw and dg, Q queries and D columns.
#pragma once

#include "kernels/device/block.h"
#include "kernels/device/launch.h"
#include "kernels/device/rows.h"
#include "kernels/device/warp.h"

namespace assay::ASSAY_TWIN {

// A block adds kWarpSize columns, each in kReduceGroups sums. It is short and waits for memory:
// many threads, each with eight loads under way.
inline constexpr int kReduceGroups = kWarpSize;
template <class A>
ASSAY_KERNEL(kWarpSize* kReduceGroups)
void reduce_weights(A a, const float* partial, int parts) {  // partial (parts, Q, D)
  constexpr int kAtOnce = 8;
  ASSAY_SHARED(sums, [kReduceGroups][kWarpSize + 1], float);
  const int lane = lane_index(), warp = warp_index();
  const std::int64_t columns = static_cast<std::int64_t>(a.queries) * a.dim;
  const std::int64_t first = static_cast<std::int64_t>(block_index()) * kWarpSize;

  // A warp is a group, a lane a column.
  float sum = 0;
  if (first + lane < columns) {
    for (int part = warp; part < parts; part += kAtOnce * kReduceGroups) {
      float values[kAtOnce];
      ASSAY_UNROLL
      for (int k = 0; k < kAtOnce; ++k) {
        const int at = part + k * kReduceGroups;
        values[k] = at < parts ? partial[at * columns + first + lane] : 0;
      }
      ASSAY_UNROLL
      for (int k = 0; k < kAtOnce; ++k) sum += values[k];
    }
  }
  sums[warp][lane] = sum;
  sync_threads();

  // A warp is a column, a lane a group.
  sum = warp_sum(sums[lane][warp]);
  const std::int64_t i = first + warp;
  if (lane > 0 || i >= columns) return;
  a.d_w.store(i, a.g.present() ? a.g.load(i) * sum : sum);
  if (a.d_g.data != nullptr) a.d_g.store(i, a.w.load(i) * sum);
}

template <class A>
void launch_reduce(const A& a, const float* partial, std::int64_t parts, Stream stream) {
  const std::int64_t columns = static_cast<std::int64_t>(a.queries) * a.dim;
  launch(reduce_weights<A>,
         {.blocks = ceil_div(columns, kWarpSize),
          .threads = kWarpSize * kReduceGroups,
          .stream = stream},
         a, partial, static_cast<int>(parts));
}

// Roundings of that: those of a group, of the tree of groups, and the products.
inline std::int64_t reduce_height(std::int64_t parts) {
  return ceil_div(parts, kReduceGroups) + 5 + 2;
}

}  // namespace assay::ASSAY_TWIN
