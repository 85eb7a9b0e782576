// A warp's slice of the rows of a token, between memory and shared memory: c as terms, rows by
// asynchronous copies, dV. Rows that are not aligned are copied element by element.
#pragma once

#include "kernels/attnres_bwd/arguments.h"
#include "kernels/attnres_bwd/tiles.h"
#include "kernels/attnres_fwd/rows.h"
#include "kernels/device/async_copy.h"

namespace assay::ASSAY_TWIN::attnres_bwd {

// The terms of c into elements [begin, begin + kSlice) of `folded` (term, Q, pitch).
template <int kSlice>
ASSAY_DEVICE void fold_weights(const Arguments& a, bf16* folded, int pitch, int begin) {
  constexpr int kVectors = kSlice / 8;
  for (int i = lane_index(); i < a.queries * kVectors; i += kWarpSize) {
    const int q = i / kVectors, d = begin + i % kVectors * 8;
    float c[8] = {};
    if (a.aligned) {
      if (d < a.dim) attnres_fwd::load_weights(a, q, d, c);
    } else {
      ASSAY_UNROLL
      for (int j = 0; j < 8; ++j) {
        float one[1] = {};
        if (d + j < a.dim) attnres_fwd::load_weights(a, q, d + j, one);
        c[j] = one[0];
      }
    }
    std::uint32_t words[kTerms][4];
    ASSAY_UNROLL
    for (int j = 0; j < 4; ++j) {
      bf16 low[kTerms], high[kTerms];
      split(c[2 * j], low);
      split(c[2 * j + 1], high);
      ASSAY_UNROLL
      for (int term = 0; term < kTerms; ++term) words[term][j] = pack(low[term], high[term]);
    }
    ASSAY_UNROLL
    for (int term = 0; term < kTerms; ++term) {
      store_words(folded + (term * a.queries + q) * pitch + d, words[term]);
    }
  }
}

// Starts the copy of 8 elements of a row, from `d` on; zeros beyond D.
template <class T>
ASSAY_DEVICE void fetch_vector(const Arguments& a, T* to, const T* row, int d) {
  if (a.aligned) return copy_async16(to, row + (d < a.dim ? d : 0), d < a.dim);
  ASSAY_NO_UNROLL
  for (int j = 0; j < 8; ++j) to[j] = d + j < a.dim ? row[d + j] : T{};
}

template <class T>
ASSAY_DEVICE void store_vector(const Arguments& a, T* row, int d, const T* from) {
  if (a.aligned) {
    std::uint32_t words[4];
    load_words(from, words);
    if (d < a.dim) store_words(row + d, words);
    return;
  }
  ASSAY_NO_UNROLL
  for (int j = 0; j < 8; ++j) {
    if (d + j < a.dim) row[d + j] = from[j];
  }
}

// Of a source of this lane: elements [step][half of the step][i], d = 16 step + 8 half + 2 t + i.
using Strip = float[2][2][2];

// Adds the given dV, from `row` on, which has `count` elements and is aligned or not.
template <class T>
ASSAY_DEVICE void add_given(const T* row, int count, bool aligned, Strip& out) {
  ASSAY_UNROLL
  for (int i = 0; i < 4; ++i) {
    const int at = i * 8 + lane_index() % 4 * 2;
    float given[2] = {};
    if (aligned) {
      if (at < count) load_elements(row + at, given);
    } else {
      if (at < count) given[0] = widen(row[at]);
      if (at + 1 < count) given[1] = widen(row[at + 1]);
    }
    out[i / 2][i % 2][0] += given[0];
    out[i / 2][i % 2][1] += given[1];
  }
}

}  // namespace assay::ASSAY_TWIN::attnres_bwd
