// A warp's slice of the rows of a token, between memory and shared memory: c as terms, V and dO by
// asynchronous copies, dV. Rows that are not aligned are copied element by element.
#pragma once

#include "kernels/attnres_bwd/arguments.h"
#include "kernels/attnres_bwd/tiles.h"
#include "kernels/attnres_fwd/rows.h"
#include "kernels/device/async_copy.h"

namespace assay::ASSAY_TWIN::attnres_bwd {

// kCount terms of c into elements [begin, begin + kSlice) of `folded` (term, Q, pitch).
template <int kSlice, int kCount>
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
    std::uint32_t words[kCount][4];
    ASSAY_UNROLL
    for (int j = 0; j < 4; ++j) {
      bf16 low[kCount], high[kCount];
      split(c[2 * j], low);
      split(c[2 * j + 1], high);
      ASSAY_UNROLL
      for (int term = 0; term < kCount; ++term) words[term][j] = pack(low[term], high[term]);
    }
    ASSAY_UNROLL
    for (int term = 0; term < kCount; ++term) {
      store_words(folded + (term * a.queries + q) * pitch + d, words[term]);
    }
  }
}

ASSAY_DEVICE int wrap(int i, int count) { return i >= count ? i - count : i; }

// The slice [begin, begin + kSlice) of the rows of a ring in shared memory: of a token, dO (Q
// rows), V (N) and, if kFetchesGiven, the dV that is added to (N). Rows are copied by as many
// lanes as have a vector in them.
template <class T, int kSlice, bool kFetchesGiven>
struct WarpSlice {
  static constexpr int kVectors = kSlice / 8, kAtOnce = kWarpSize / kVectors;
  static constexpr int kAhead = 4;  // rows that a lane reads before it writes them

  T* ring;
  int slots, pitch, begin;

  ASSAY_DEVICE T* row(int slot) const { return ring + wrap(slot, slots) * pitch; }
  ASSAY_DEVICE int column() const { return begin + lane_index() % kVectors * 8; }
  // Of the rows that are copied at once, this lane's; lanes that are left over have none.
  ASSAY_DEVICE int lane_row() const {
    return lane_index() < kVectors * kAtOnce ? lane_index() / kVectors : INT32_MAX / 2;
  }

  // Starts copies of rows [from, to) of a token whose first row has slot `first`; zeros beyond D.
  ASSAY_DEVICE void fetch(const Arguments& a, std::int64_t token, int first, int from,
                          int to) const {
    if (token < a.tokens) {
      const std::int64_t start = token * a.dim + column();
      [[maybe_unused]] const int sources = a.sources;
      const int queries = a.queries;
      fetch_rows(a, a.d_o.as<T>() + start, from, min(to, queries), first + from);
      first += queries, from = max(from - queries, 0), to -= queries;
      fetch_rows(a, a.v.as<T>() + start, from, kFetchesGiven ? min(to, sources) : to, first + from);
      if constexpr (kFetchesGiven) {
        first += sources, from = max(from - sources, 0), to -= sources;
        fetch_rows(a, a.d_v.as<T>() + start, from, to, first + from);
      }
    }
    commit_async();
  }

  // Writes dV of a token from the rows that had V.
  ASSAY_DEVICE void store(const Arguments& a, std::int64_t token, int first) const {
    const std::int64_t step = kAtOnce * a.tokens * a.dim;
    const int d = column();
    int n = lane_row();
    if (d >= a.dim || n >= a.sources) return;
    first += a.queries;
    T* to = a.d_v.as<T>() + a.row(n, token) + d;
    if (!a.aligned) {
      for (; n < a.sources; n += kAtOnce, to += step) {
        ASSAY_NO_UNROLL
        for (int j = 0; j < min(8, a.dim - d); ++j) to[j] = row(first + n)[d + j];
      }
      return;
    }
    while (n < a.sources) {
      std::uint32_t words[kAhead][4];
      ASSAY_UNROLL
      for (int k = 0; k < kAhead; ++k) {  // what is not there repeats the last
        load_words(row(first + min(n + k * kAtOnce, a.sources - 1)) + d, words[k]);
      }
      ASSAY_UNROLL
      for (int k = 0; k < kAhead; ++k) {
        if (n < a.sources) store_words(to, words[k]);
        n += kAtOnce;
        to += step;
      }
    }
  }

 private:
  // Rows [from, to) of V or dO, whose row 0 of the token begins at `row` in this lane's column,
  // from slot `slot` on.
  ASSAY_DEVICE void fetch_rows(const Arguments& a, const T* row, int from, int to, int slot) const {
    const std::int64_t plane = a.tokens * a.dim;
    const int d = column();
    int i = from + lane_row();
    if (i >= to) return;
    slot = wrap(wrap(slot, slots) + lane_row(), slots);
    row += i * plane;
    if (!a.aligned) {
      for (; i < to; i += kAtOnce, row += kAtOnce * plane, slot = wrap(slot + kAtOnce, slots)) {
        ASSAY_NO_UNROLL
        for (int j = 0; j < 8; ++j) ring[slot * pitch + d + j] = d + j < a.dim ? row[j] : T{};
      }
      return;
    }
    const bool inside = d < a.dim;
    const std::int64_t step = inside ? kAtOnce * plane : 0;
    if (!inside) row = a.v.as<T>();  // nothing is read
    T* to_row = ring + slot * pitch + d;
    const T* const end = ring + slots * pitch;
    for (; i < to; i += kAtOnce, row += step) {
      copy_async16(to_row, row, inside);
      to_row += kAtOnce * pitch;
      if (to_row >= end) to_row -= slots * pitch;
    }
  }
};

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
