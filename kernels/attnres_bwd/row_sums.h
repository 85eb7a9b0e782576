// Σ c v, Σ dO v and Σ v² of one row of V and one query, by a whole block.
#pragma once

#include "kernels/attnres_bwd/softmax.h"
#include "kernels/attnres_fwd/rows.h"

namespace assay::ASSAY_TWIN::attnres_bwd {

// Of source n, token t and query q, in every thread.
ASSAY_DEVICE Sums row_sums(const Arguments& a, int q, int n, std::int64_t t) {
  Sums own = {};
  attnres_fwd::for_each_part(a, 0, a.dim, [&]<int kCount>(int d, Count<kCount>) {
    float v[kCount], c[kCount], d_o[kCount];
    load_part(a.v, a.row(n, t) + d, v);
    load_part(a.d_o, a.query_row(q, t) + d, d_o);
    attnres_fwd::load_weights(a, q, d, c);
    ASSAY_UNROLL
    for (int j = 0; j < kCount; ++j) {
      own.score += c[j] * v[j];
      own.gain += d_o[j] * v[j];
      own.square += v[j] * v[j];
    }
  });
  return {block_sum(own.score), block_sum(own.gain), block_sum(own.square)};
}

}  // namespace assay::ASSAY_TWIN::attnres_bwd
