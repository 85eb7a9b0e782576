// A token's scores and its mix as matrix products, for a warp and its slice of D: c, which stays in
// registers as sums of three bf16 terms, operands by ldmatrix from rows of V in shared memory, and
// results by way of shared memory that the warp has for itself. lane = 4 g + t, fragments as in
// kernels/device/mma.h.
#pragma once

#include <algorithm>

#include "kernels/attnres_fwd/arguments.h"
#include "kernels/device/mma.h"
#include "kernels/device/terms.h"

namespace assay::ASSAY_TWIN::attnres_fwd {

inline constexpr int kTerms = 3;        // of c and α
inline constexpr int kTileRows = 16;    // sources of an mma tile
inline constexpr int kTileQueries = 8;  // its queries: those of a block
inline constexpr int kStep = 16;        // hidden elements of one mma
inline constexpr int kPad = 8;  // elements between rows: those of 8 fall into different banks
// 16 warps leave 128 registers a thread. A warp for the copies alone would leave 96.
inline constexpr int kWarps = 16, kThreads = kWarps * kWarpSize;

// What determines registers: the steps of a warp and the tiles of sources.
template <int kSteps_, int kTiles_>
struct Shape {
  static constexpr int kSteps = kSteps_, kTiles = kTiles_;
  static constexpr int kSlice = kSteps * kStep;          // hidden elements of a warp
  static constexpr int kPitch = kWarps * kSlice + kPad;  // of rows of V in shared memory
  static constexpr int kOwnPitch = kSlice + kPad;        // of rows of a warp's own memory
  static constexpr int kBatch = kSteps % 4 == 0 && kSteps < 12 ? 4 : 3;  // steps mixed at once
  static_assert(kSteps % kBatch == 0);
  // 8 rows of a slice as vectors of 8 elements, and where this lane's are.
  static constexpr int kVectors = kSlice / 8;
  static constexpr int kVectorsOfLane = (kTileQueries * kVectors + kWarpSize - 1) / kWarpSize;
  static constexpr int kRowsAtOnce = std::max(1, kWarpSize / kVectors);
  ASSAY_DEVICE static int query(int i) { return (i * kWarpSize + lane_index()) / kVectors; }
  ASSAY_DEVICE static int column(int i) { return (i * kWarpSize + lane_index()) % kVectors * 8; }
  // A warp's sums over its slice, as floats: scores (tile, query, row), then squares (tile, row).
  // Rows of 20: what a warp writes at once falls into different banks.
  static constexpr int kScoreRow = kTileRows + 4;
  static constexpr int kScores = kTiles * kTileQueries * kScoreRow;
  // A warp's own memory: 8 rows of its slice, of c or O, or its sums.
  static constexpr int kOwnBytes =
      std::max(kTileQueries * kOwnPitch * 2, (kScores + kTiles * kTileRows) * 4);
  // α in terms (term, query, source); rows of 8 queries fall into different banks.
  static constexpr int kAlphaPitch = kTiles * kTileRows + kPad;
  static constexpr int kAlphaBytes = kTerms * kTileQueries * kAlphaPitch * 2;
};

// This warp's slice of 8 rows of w or g, by the vectors that are this lane's; zeros where there is
// none. All loads are under way at once.
template <class S, class T>
ASSAY_DEVICE void load_slice(const Arguments<bf16>& a, int first_query, const T* rows,
                             std::int64_t pitch, float (&x)[S::kVectorsOfLane][8]) {
  const int queries = min(kTileQueries, a.queries - first_query);
  const int width = a.dim - warp_index() * S::kSlice;
  rows += first_query * pitch + warp_index() * S::kSlice;
  ASSAY_UNROLL
  for (int i = 0; i < S::kVectorsOfLane; ++i) {
    ASSAY_UNROLL
    for (int j = 0; j < 8; ++j) x[i][j] = 0;
  }
  if (a.aligned) {
    ASSAY_UNROLL
    for (int i = 0; i < S::kVectorsOfLane; ++i) {
      const int q = S::query(i), d = S::column(i);
      if (q < queries && d < width) load_elements(rows + q * pitch + d, x[i]);
    }
  } else {
    ASSAY_UNROLL
    for (int i = 0; i < S::kVectorsOfLane; ++i) {
      const int q = S::query(i), d = S::column(i);
      ASSAY_UNROLL
      for (int j = 0; j < 8; ++j) {
        if (q < queries && d < width) x[i][j] = widen(rows[q * pitch + d + j]);
      }
    }
  }
}
template <class S>
ASSAY_DEVICE void load_slice(const Arguments<bf16>& a, int first_query, const AnyInput& rows,
                             std::int64_t pitch, float (&x)[S::kVectorsOfLane][8]) {
  switch (rows.dtype) {
    case DType::f16:
      return load_slice<S>(a, first_query, rows.as<f16>(), pitch, x);
    case DType::bf16:
      return load_slice<S>(a, first_query, rows.as<bf16>(), pitch, x);
    default:
      return load_slice<S>(a, first_query, rows.as<float>(), pitch, x);
  }
}

// The terms of c = w⊙g in this warp's slice as operands B, by way of the warp's own memory.
template <class S>
ASSAY_DEVICE void fold(const Arguments<bf16>& a, int first_query, bf16* own,
                       std::uint32_t (&c)[kTerms][S::kSteps][2]) {
  float x[S::kVectorsOfLane][8];
  load_slice<S>(a, first_query, a.w, a.w_pitch, x);
  if (a.g.present()) {
    float scale[S::kVectorsOfLane][8];
    load_slice<S>(a, first_query, a.g, a.g_pitch, scale);
    ASSAY_UNROLL
    for (int i = 0; i < S::kVectorsOfLane; ++i) {
      ASSAY_UNROLL
      for (int j = 0; j < 8; ++j) x[i][j] *= scale[i][j];
    }
  }
  const int lane = lane_index();
  ASSAY_UNROLL
  for (int term = 0; term < kTerms; ++term) {
    ASSAY_UNROLL
    for (int i = 0; i < S::kVectorsOfLane; ++i) {
      std::uint32_t words[4];
      ASSAY_UNROLL
      for (int j = 0; j < 8; j += 2) {
        const bf16 low = narrow<bf16>(x[i][j]), high = narrow<bf16>(x[i][j + 1]);
        words[j / 2] = pack(low, high);
        x[i][j] -= widen(low);
        x[i][j + 1] -= widen(high);
      }
      if (S::query(i) < kTileQueries) {
        store_words(own + S::query(i) * S::kOwnPitch + S::column(i), words);
      }
    }
    sync_warp();
    ASSAY_UNROLL
    for (int s = 0; s < S::kSteps; s += 2) {
      const bool pair = s + 1 < S::kSteps;
      std::uint32_t four[4];
      ldmatrix_x4(four, own + lane % 8 * S::kOwnPitch + s * kStep + lane / 8 % (pair ? 4 : 2) * 8);
      c[term][s][0] = four[0], c[term][s][1] = four[1];
      if (pair) c[term][s + 1][0] = four[2], c[term][s + 1][1] = four[3];
    }
    sync_warp();
  }
}

// This warp's part of the scores of a token and of Σ v², into its own memory. Each mma of leading
// terms begins with 0, and what it gives is added up by rounding: sums that are cut off again and
// again come out too small, all of them. `v`: what the lane gives to ldmatrix, by tiles.
template <class S>
ASSAY_DEVICE void score(const bf16* const (&v)[S::kTiles],
                        const std::uint32_t (&c)[kTerms][S::kSteps][2], float* sums) {
  const int g = lane_index() / 4, t = lane_index() % 4;
  float dots[S::kTiles][kTerms][4] = {}, squares[S::kTiles][2] = {};  // of rows g, g + 8
  ASSAY_UNROLL
  for (int s = 0; s < S::kSteps; ++s) {
    ASSAY_UNROLL
    for (int tile = 0; tile < S::kTiles; ++tile) {
      std::uint32_t words[4];
      ldmatrix_x4(words, v[tile] + s * kStep);
      ASSAY_UNROLL
      for (int term = 1; term < kTerms; ++term) {
        mma_m16n8k16(dots[tile][term], words, c[term][s]);
      }
      float lead[4] = {};
      mma_m16n8k16(lead, words, c[0][s]);
      ASSAY_UNROLL
      for (int i = 0; i < 4; ++i) dots[tile][0][i] += lead[i];
      ASSAY_UNROLL
      for (int i = 0; i < 4; ++i) {
        const float low = element<bf16>(&words[i], 0), high = element<bf16>(&words[i], 1);
        squares[tile][i % 2] += low * low;
        squares[tile][i % 2] += high * high;
      }
    }
  }
  ASSAY_UNROLL
  for (int tile = 0; tile < S::kTiles; ++tile) {
    const auto& of = dots[tile];
    ASSAY_UNROLL
    for (int i = 0; i < 4; ++i) {
      sums[(tile * kTileQueries + 2 * t + i % 2) * S::kScoreRow + g + i / 2 * 8] =
          of[0][i] + (of[1][i] + of[2][i]);
    }
    ASSAY_UNROLL
    for (int i = 0; i < 2; ++i) {
      const float square = warp_sum<1, 4>(squares[tile][i]);
      if (t == 0) sums[S::kScores + tile * kTileRows + g + i * 8] = square;
    }
  }
}

// This warp's slice of O, queries by elements, into its own memory: Vᵀ αᵀ, small terms first, so
// that what is cut off then is cut off small sums. `v`: what the lane gives to ldmatrix, by tiles.
template <class S>
ASSAY_DEVICE void mix(const bf16* const (&v)[S::kTiles], const bf16* alpha, bf16* own) {
  const int lane = lane_index(), g = lane / 4, t = lane % 4;
  std::uint32_t weights[S::kTiles][kTerms][2];
  ASSAY_UNROLL
  for (int tile = 0; tile < S::kTiles; ++tile) {
    ASSAY_UNROLL
    for (int i = 0; i < 2 * kTerms; ++i) {
      std::uint32_t word[1];
      load_words(alpha + (i / 2 * kTileQueries + g) * S::kAlphaPitch + tile * kTileRows +
                     i % 2 * 8 + 2 * t,
                 word);
      weights[tile][i / 2][i % 2] = word[0];
    }
  }
  bf16* const to = own + lane % 8 * S::kOwnPitch + lane / 8 % 2 * 8;
  ASSAY_UNROLL
  for (int first = 0; first < S::kSteps; first += S::kBatch) {
    std::uint32_t words[S::kTiles][S::kBatch][4];
    float sum[S::kBatch][4] = {};
    ASSAY_UNROLL
    for (int s = 0; s < S::kBatch; ++s) {
      ASSAY_UNROLL
      for (int tile = 0; tile < S::kTiles; ++tile) {
        ldmatrix_x4_transposed(words[tile][s], v[tile] + (first + s) * kStep);
      }
    }
    ASSAY_UNROLL
    for (int term = kTerms - 1; term >= 0; --term) {
      ASSAY_UNROLL
      for (int tile = 0; tile < S::kTiles; ++tile) {
        ASSAY_UNROLL
        for (int s = 0; s < S::kBatch; ++s) {
          mma_m16n8k16(sum[s], words[tile][s], weights[tile][term]);
        }
      }
    }
    ASSAY_UNROLL
    for (int s = 0; s < S::kBatch; ++s) {
      const std::uint32_t pairs[2] = {pack(narrow<bf16>(sum[s][0]), narrow<bf16>(sum[s][1])),
                                      pack(narrow<bf16>(sum[s][2]), narrow<bf16>(sum[s][3]))};
      stmatrix_x2_transposed(to + (first + s) * kStep, pairs);
    }
  }
}

// The rows of a warp's own memory to O, as many at once as 32 lanes have vectors for.
template <class S>
ASSAY_DEVICE void store_slice(const bf16* own, bf16* out, std::int64_t query_stride, int queries,
                              int width) {
  constexpr int kRows = S::kRowsAtOnce, kRounds = kTileQueries / kRows;
  constexpr int kAhead = kRounds < 4 ? kRounds : 4;  // vectors that a lane reads, then writes
  const int row = lane_index() / S::kVectors, d = lane_index() % S::kVectors * 8;
  if (row >= kRows || d >= width) return;
  own += row * S::kOwnPitch + d;
  out += row * query_stride + d;
  ASSAY_UNROLL
  for (int round = 0; round < kRounds; round += kAhead) {
    std::uint32_t words[kAhead][4];
    ASSAY_UNROLL
    for (int k = 0; k < kAhead; ++k) load_words(own + (round + k) * kRows * S::kOwnPitch, words[k]);
    ASSAY_UNROLL
    for (int k = 0; k < kAhead; ++k) {
      if ((round + k) * kRows + row < queries) store_words(out, words[k]);
      out += kRows * query_stride;
    }
  }
}

}  // namespace assay::ASSAY_TWIN::attnres_fwd
