// The folded weights of a thread's slice of a row, for one query or several.
#pragma once

#include "kernels/attnres_fwd/rows.h"
#include "kernels/device/slice.h"

namespace assay::ASSAY_TWIN::attnres_fwd {

// The folded weights c = w⊙g of a thread's slice in fp32: registers hold those of one query, shared
// memory those of several.
template <class T, int kVectors, int kQueries>
struct Weights {
  static constexpr int kSize = kVectorSize<T>, kParts = kSize / 4;
  Vector* mine;

  ASSAY_DEVICE Vector* part(int q, int i, int p) const {
    return mine + ((q * kVectors + i) * kParts + p) * num_threads();
  }
  ASSAY_DEVICE void put(int q, int i, const float (&c)[kSize]) {
    ASSAY_UNROLL
    for (int p = 0; p < kParts; ++p) {
      const float four[4] = {c[4 * p], c[4 * p + 1], c[4 * p + 2], c[4 * p + 3]};
      store_elements(reinterpret_cast<float*>(part(q, i, p)), four);
    }
  }
  // Elements 4p to 4p + 3 of vector i.
  ASSAY_DEVICE void get(int q, int i, int p, float (&c)[4]) const {
    load_elements(reinterpret_cast<const float*>(part(q, i, p)), c);
  }
};
template <class T, int kVectors>
struct Weights<T, kVectors, 1> {
  static constexpr int kSize = kVectorSize<T>;
  Vector* unused;
  float c_[kVectors][kSize];

  ASSAY_DEVICE void put(int, int i, const float (&c)[kSize]) {
    ASSAY_UNROLL
    for (int j = 0; j < kSize; ++j) c_[i][j] = c[j];
  }
  ASSAY_DEVICE void get(int, int i, int p, float (&c)[4]) const {
    ASSAY_UNROLL
    for (int j = 0; j < 4; ++j) c[j] = c_[i][4 * p + j];
  }
};

// c of this thread's slice for `count` queries from `query` on; zeros where there is none. Single
// elements pass through shared memory to be indexed at run time: two vectors, `stride` apart, from
// `scratch` on.
template <class A, class T, int kVectors, int kQueries>
ASSAY_DEVICE void fold_weights(const A& a, const Slice<T>& slice, int query, int count,
                               Weights<T, kVectors, kQueries>& weights, Vector* scratch,
                               int stride) {
  constexpr int kSize = kVectorSize<T>;
  ASSAY_UNROLL
  for (int q = 0; q < kQueries; ++q) {
    if (q >= count) break;
    ASSAY_UNROLL
    for (int i = 0; i < kVectors; ++i) {
      float c[kSize] = {};
      if (query + q < a.queries) {
        slice.fold_weights(a.w, a.w_row(query + q), a.g, a.g_row(query + q), i, scratch,
                           scratch + stride, c);
      }
      weights.put(q, i, c);
    }
  }
}

}  // namespace assay::ASSAY_TWIN::attnres_fwd
