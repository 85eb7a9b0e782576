// From partial sums of X (Q,D), one of each of `parts` blocks, to dw = g⊙X and dg = w⊙X, added up
// in a fixed order. A: the arguments of an op that has w, g, dw and dg, Q queries and D columns.
#pragma once

#include "kernels/device/block.h"
#include "kernels/device/launch.h"
#include "kernels/device/rows.h"

namespace assay::ASSAY_TWIN {

inline constexpr int kReduceColumns = 32, kReduceGroups = 8;

// A block adds kReduceColumns columns, each in kReduceGroups sums.
template <int kGroups, class A>
ASSAY_KERNEL(kReduceColumns* kGroups)
void reduce_weights(A a, const float* partial, int parts) {  // partial (parts, Q, D)
  ASSAY_SHARED(sums, [kGroups][kReduceColumns], float);
  const int column = thread_index() % kReduceColumns, group = thread_index() / kReduceColumns;
  const std::int64_t columns = static_cast<std::int64_t>(a.queries) * a.dim;
  const std::int64_t i = static_cast<std::int64_t>(block_index()) * kReduceColumns + column;
  float sum = 0;
  if (i < columns) {
    for (int part = group; part < parts; part += kGroups) sum += partial[part * columns + i];
  }
  sums[group][column] = sum;
  sync_threads();
  if (group > 0 || i >= columns) return;
  for (int other = 1; other < kGroups; ++other) sum += sums[other][column];
  a.d_w.store(i, a.g.present() ? a.g.load(i) * sum : sum);
  if (a.d_g.data != nullptr) a.d_g.store(i, a.w.load(i) * sum);
}

template <class A>
void launch_reduce(const A& a, const float* partial, std::int64_t parts, Stream stream) {
  const std::int64_t columns = static_cast<std::int64_t>(a.queries) * a.dim;
  launch(reduce_weights<kReduceGroups, A>,
         {.blocks = ceil_div(columns, kReduceColumns),
          .threads = kReduceColumns * kReduceGroups,
          .stream = stream},
         a, partial, static_cast<int>(parts));
}

// Roundings of that: those of a group, of the groups, and the products.
inline std::int64_t reduce_height(std::int64_t parts) {
  return ceil_div(parts, kReduceGroups) + kReduceGroups + 2;
}

}  // namespace assay::ASSAY_TWIN
