// Rows of D elements dealt out to the threads of a block, each of which keeps its part to itself:
// what fused kernels stream V through shared memory with, without barriers.
#pragma once

#include "kernels/attnres_fwd/rows.h"
#include "kernels/device/async_copy.h"

namespace assay::ASSAY_TWIN::attnres_fwd {

// The part of a row that a thread owns: `kElements` elements as 16-byte vectors, vector i being the
// row's vector number i * threads + thread. Elements beyond D read as zero: they change no sum.
// Rows that are not aligned are accessed element by element, in the same places.
template <class T>
struct Slice {
  static constexpr int kSize = kVectorSize<T>;
  int dim;
  bool aligned;

  ASSAY_DEVICE int first(int i) const { return (i * num_threads() + thread_index()) * kSize; }

  // Vector i of a row of V on its way to shared memory.
  ASSAY_DEVICE void fetch(Vector* to, const T* row, int i) const {
    const int d = first(i);
    if (aligned) return copy_async16(to, row + (d < dim ? d : 0), d < dim);
    ASSAY_NO_UNROLL
    for (int j = 0; j < kSize; ++j) {
      reinterpret_cast<T*>(to)[j] = d + j < dim ? row[d + j] : T{};
    }
  }

  ASSAY_DEVICE void store(const AnyOutput& o, std::int64_t row, int i,
                          const float (&x)[kSize]) const {
    const int d = first(i);
    if (aligned) {
      if (d < dim) o.store(row + d, x);
      return;
    }
    ASSAY_UNROLL
    for (int j = 0; j < kSize; ++j) {
      if (d + j < dim) o.store(row + d + j, x[j]);
    }
  }

  // x += a row of `from`, which other threads leave alone.
  ASSAY_DEVICE void add(const AnyInput& from, std::int64_t row, int i, float (&x)[kSize]) const {
    const int d = first(i);
    if (aligned) {
      if (d >= dim) return;
      float own[kSize];
      from.load(row + d, own);
      ASSAY_UNROLL
      for (int j = 0; j < kSize; ++j) x[j] += own[j];
      return;
    }
    ASSAY_UNROLL
    for (int j = 0; j < kSize; ++j) {
      if (d + j < dim) x[j] += from.load(row + d + j);
    }
  }
};

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
      const int d = slice.first(i), present = query + q < a.queries ? a.dim - d : 0;
      float c[kSize] = {};
      if (a.aligned) {
        if (present > 0) load_weights(a, query + q, d, c);
      } else {
        const auto element = [&](int j) {
          return reinterpret_cast<float*>(scratch + j / 4 * stride) + j % 4;
        };
        ASSAY_NO_UNROLL
        for (int j = 0; j < kSize; ++j) {
          float one[1] = {};
          if (j < present) load_weights(a, query + q, d + j, one);
          *element(j) = one[0];
        }
        ASSAY_UNROLL
        for (int j = 0; j < kSize; ++j) c[j] = *element(j);
      }
      weights.put(q, i, c);
    }
  }
}

}  // namespace assay::ASSAY_TWIN::attnres_fwd
