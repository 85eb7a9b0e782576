// The slice of a row of D elements that each thread of a block owns, between memory, shared memory
// and registers.
#pragma once

#include "kernels/device/async_copy.h"
#include "kernels/device/rows.h"

namespace assay::ASSAY_TWIN {

// wait_async for a number that is known at run time only; more than kMost count as kMost.
template <int kMost = 15>
ASSAY_DEVICE void wait_async_at_most(int pending) {
  if constexpr (kMost > 0) {
    if (pending < kMost) return wait_async_at_most<kMost - 1>(pending);
  }
  wait_async<kMost>();
}

// The vector from element d of a row on, element by element; zeros beyond D.
template <class T>
ASSAY_DEVICE Vector load_elementwise(const T* row, int d, int dim) {
  Vector result = {};
  ASSAY_UNROLL
  for (int j = 0; j < kVectorSize<T>; ++j) {
    if (d + j >= dim) continue;
    if constexpr (sizeof(T) == 4) {
      result.words[j] = as_bits(row[d + j]);
    } else {
      result.words[j / 2] |= std::uint32_t{row[d + j].bits} << 16 * (j % 2);
    }
  }
  return result;
}

// The part of a row that a thread owns: its elements as 16-byte vectors, vector i being the
// row's vector number i * threads + thread. Elements beyond D read as zero: they change no sum.
// Rows that are not aligned are accessed element by element, in the same places. Owner: whose
// threads share a row, by default those of the block.
struct WholeBlock {
  ASSAY_DEVICE static int thread() { return thread_index(); }
  ASSAY_DEVICE static int threads() { return num_threads(); }
};
template <class T, class Owner = WholeBlock>
struct Slice {
  static constexpr int kSize = kVectorSize<T>;
  int dim;
  bool aligned;

  ASSAY_DEVICE int first(int i) const { return (i * Owner::threads() + Owner::thread()) * kSize; }

  // Vector i of a row of aligned rows.
  ASSAY_DEVICE Vector load(const T* row, int i) const {
    const int d = first(i);
    Vector result = {};
    if (d < dim) load_words(row + d, result.words);
    return result;
  }

  // Vector i of a row, element by element where rows are not aligned.
  ASSAY_DEVICE Vector load_any(const T* row, int i) const {
    return aligned ? load(row, i) : load_elementwise(row, first(i), dim);
  }

  // Vector i of a row on its way to shared memory.
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

  // c = w⊙g of vector i of the rows that begin at elements w_row of w and g_row of g. Single
  // elements pass through two vectors of shared memory, to be indexed at run time.
  ASSAY_DEVICE void fold_weights(const AnyInput& w, std::int64_t w_row, const AnyInput& g,
                                 std::int64_t g_row, int i, Vector* low, Vector* high,
                                 float (&c)[kSize]) const {
    const int d = first(i);
    if (aligned) {
      if (d < dim) load_weights(w, w_row + d, g, g_row + d, c);
      return;
    }
    const auto scratch = [&](int j) {
      return reinterpret_cast<float*>(j < 4 ? low : high) + j % 4;
    };
    ASSAY_NO_UNROLL
    for (int j = 0; j < kSize; ++j) {
      float one[1] = {};
      if (d + j < dim) load_weights(w, w_row + d + j, g, g_row + d + j, one);
      *scratch(j) = one[0];
    }
    ASSAY_UNROLL
    for (int j = 0; j < kSize; ++j) c[j] = *scratch(j);
  }
};

}  // namespace assay::ASSAY_TWIN
