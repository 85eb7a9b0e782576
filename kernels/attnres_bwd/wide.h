// attnres_bwd for any sizes and dtypes: what `fused` falls back to where a token does not fit
// shared memory. V, dO and c are read once for every query and again for the gradients, mostly from
// L2.
#pragma once

#include "kernels/attnres_bwd/row_sums.h"
#include "kernels/attnres_fwd/rows.h"

namespace assay::ASSAY_TWIN::attnres_bwd {

using attnres_fwd::for_each_part;
using attnres_fwd::load_weights;

// What a block keeps of its token and of its X, in global memory.
struct Scratch {
  Sums* sums;                  // (blocks, Q, N)
  Coefficients* coefficients;  // (blocks, Q, N)
  float* x;                    // (blocks, Q, D)
};

// Any sizes and dtypes: one token at a time, V, dO and c read once for every query.
constexpr int kWideThreads = 256;
template <int kThreads>
ASSAY_KERNEL(kThreads)
void wide(Arguments a, Scratch scratch) {
  const std::int64_t pairs = static_cast<std::int64_t>(a.queries) * a.sources;
  Sums* const sums = scratch.sums + block_index() * pairs;
  Coefficients* const coefficients = scratch.coefficients + block_index() * pairs;
  float* const x = scratch.x + static_cast<std::int64_t>(block_index()) * a.queries * a.dim;

  for (std::int64_t t = block_index(); t < a.tokens; t += num_blocks()) {
    for (int n = 0; n < a.sources; ++n) {
      for (int q = 0; q < a.queries; ++q) {
        const Sums own = row_sums(a, q, n, t);
        if (thread_index() == 0) sums[q * a.sources + n] = own;
      }
    }
    sync_threads();
    for (int q = warp_index(); q < a.queries; q += num_warps()) {
      softmax_backward(
          a, a.d_lse.present() ? a.d_lse.load(q * a.tokens + t) : 0,
          [&](int n) { return sums[q * a.sources + n]; }, coefficients + q * a.sources);
    }
    sync_threads();
    for (int n = 0; n < a.sources; ++n) {
      for_each_part(a, 0, a.dim, [&]<int kCount>(int d, Count<kCount>) {
        float v[kCount], out[kCount] = {};
        load_part(a.v, a.row(n, t) + d, v);
        float radial = 0;
        for (int q = 0; q < a.queries; ++q) {
          const Coefficients of = coefficients[q * a.sources + n];
          float c[kCount], d_o[kCount];
          load_part(a.d_o, a.query_row(q, t) + d, d_o);
          load_weights(a, q, d, c);
          radial += of.radial;
          ASSAY_UNROLL
          for (int j = 0; j < kCount; ++j) out[j] += of.alpha * d_o[j] + of.key * c[j];
        }
        float given[kCount] = {};
        if (a.accumulate) load_part(a.given(), a.row(n, t) + d, given);
        ASSAY_UNROLL
        for (int j = 0; j < kCount; ++j) out[j] += given[j] - radial * v[j];
        store_part(a.d_v, a.row(n, t) + d, out);
      });
    }
    for (int q = 0; q < a.queries; ++q) {
      for_each_part(a, 0, a.dim, [&]<int kCount>(int d, Count<kCount>) {
        float sum[kCount] = {};
        for (int n = 0; n < a.sources; ++n) {
          float v[kCount];
          load_part(a.v, a.row(n, t) + d, v);
          ASSAY_UNROLL
          for (int j = 0; j < kCount; ++j) sum[j] += coefficients[q * a.sources + n].key * v[j];
        }
        float* const to = x + static_cast<std::int64_t>(q) * a.dim + d;
        const bool first = t == block_index();
        ASSAY_UNROLL
        for (int j = 0; j < kCount; ++j) to[j] = first ? sum[j] : to[j] + sum[j];
      });
    }
  }
}

}  // namespace assay::ASSAY_TWIN::attnres_bwd
