// What the variants share that keep nothing of V between their passes: rows of V, and c, by parts.
#pragma once

#include "kernels/attnres_fwd/arguments.h"
#include "kernels/device/rows.h"

namespace assay::ASSAY_TWIN::attnres_fwd {

template <class A, class Body>
ASSAY_DEVICE void for_each_part(const A& a, int begin, int end, const Body& body) {
  assay::ASSAY_TWIN::for_each_part<A::kPart>(a.aligned, begin, end, body);
}

// c = w⊙g of query q, elements d to d + kCount - 1.
template <class A, int kCount>
ASSAY_DEVICE void load_weights(const A& a, int q, int d, float (&c)[kCount]) {
  assay::ASSAY_TWIN::load_weights(a.w, a.w_row(q) + d, a.g, a.g_row(q) + d, c);
}

inline double block_sum_height(const Problem& p, DType dtype, int threads) {
  return assay::ASSAY_TWIN::block_sum_height(p.dim("D"), dtype, threads);
}

}  // namespace assay::ASSAY_TWIN::attnres_fwd
