// A warp's slice of the rows of a token, between memory and shared memory: c as terms, V and dO by
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

ASSAY_DEVICE int wrap(int i, int count) { return i >= count ? i - count : i; }

// The slice [begin, begin + kSlice) of the rows of a ring in shared memory: of a token, dO (Q
// rows), then V (N). Rows are copied by as many lanes as have a vector in them.
template <class T, int kSlice>
struct WarpSlice {
  static constexpr int kVectors = kSlice / 8, kAtOnce = kWarpSize / kVectors;
  static constexpr int kAhead = 4;  // vectors of a lane whose addresses are found together

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
      const std::int64_t plane = a.tokens * a.dim;
      const int d = column();
      const bool inside = d < a.dim;
      const T* const d_o = a.d_o.as<T>() + token * a.dim + (inside ? d : 0);
      const T* const v = a.v.as<T>() + token * a.dim + (inside ? d : 0);
      const auto global = [&](int i) {
        return i < a.queries ? d_o + i * plane : v + (i - a.queries) * plane;
      };
      if (a.aligned) {
        for (int base = from + lane_row(); base < to; base += kAhead * kAtOnce) {
          ASSAY_UNROLL
          for (int k = 0; k < kAhead; ++k) {
            const int i = base + k * kAtOnce;
            if (i < to) copy_async16(row(first + i) + d, global(i), inside);
          }
        }
      } else {
        for (int i = from + lane_row(); i < to; i += kAtOnce) {
          ASSAY_NO_UNROLL
          for (int j = 0; j < 8; ++j) row(first + i)[d + j] = d + j < a.dim ? global(i)[j] : T{};
        }
      }
    }
    commit_async();
  }

  // Writes dV of a token from the rows that had V.
  ASSAY_DEVICE void store(const Arguments& a, std::int64_t token, int first) const {
    const std::int64_t plane = a.tokens * a.dim;
    const int d = column();
    if (d >= a.dim) return;
    T* const to = a.d_v.as<T>() + token * a.dim + d;
    first += a.queries;
    if (!a.aligned) {
      for (int n = lane_row(); n < a.sources; n += kAtOnce) {
        ASSAY_NO_UNROLL
        for (int j = 0; j < 8; ++j) {
          if (d + j < a.dim) to[n * plane + j] = row(first + n)[d + j];
        }
      }
      return;
    }
    for (int base = lane_row(); base < a.sources; base += kAhead * kAtOnce) {
      std::uint32_t words[kAhead][4];
      ASSAY_UNROLL
      for (int k = 0; k < kAhead; ++k) {  // what is not there repeats the last
        load_words(row(first + min(base + k * kAtOnce, a.sources - 1)) + d, words[k]);
      }
      ASSAY_UNROLL
      for (int k = 0; k < kAhead; ++k) {
        const int n = base + k * kAtOnce;
        if (n < a.sources) store_words(to + n * plane, words[k]);
      }
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
