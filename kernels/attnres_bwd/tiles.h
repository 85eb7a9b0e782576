// One token of the backward pass as small matrix products, for a warp and its hidden elements: the
// operands' fragments, the sums over D, and the gradients. Queries come by tiles of 8, sources by
// one or two of 8 (kTiles); what is not there repeats a row whose products nobody reads or whose
// coefficients are zero. lane = 4 g + t, fragments as in kernels/device/mma.h.
#pragma once

#include "kernels/device/mma.h"
#include "kernels/device/terms.h"

namespace assay::ASSAY_TWIN::attnres_bwd {

inline constexpr int kTerms = 3;        // of α and ds r, and at most of c
inline constexpr int kTileQueries = 8;  // and as many sources
inline constexpr int kStep = 16;        // hidden elements of one mma
inline constexpr int kTileDim = 2 * kStep;
inline constexpr int kPad = 8;  // elements between rows: those of 8 fall into different banks

// Coefficients as operand A, a matrix for each term: 16 rows (sources) of α of 8 queries, ds r of 8
// queries and 8 elements of padding, so that 8 rows lie in different banks.
inline constexpr int kMatrixRows = 16, kMatrixPitch = 24;
inline constexpr int kMatrixSize = kMatrixRows * kMatrixPitch;

// Where this lane's address of kTileDim elements of 8 or 16 sources points: the source, and the
// element from which on.
template <int kTiles>
ASSAY_DEVICE int lane_source() {
  return lane_index() % 8 + (kTiles == 2 ? lane_index() / 16 * 8 : 0);
}
template <int kTiles>
ASSAY_DEVICE int lane_column() {
  return kTiles == 2 ? lane_index() / 8 % 2 * 8 : lane_index() / 8 * 8;
}

// The same for transposed operand A, elements by sources: 32 elements of 8 sources, or 16 of 16.
template <int kTiles>
ASSAY_DEVICE int lane_turned_column() {
  return kTiles == 2 ? lane_index() / 8 % 2 * 8 : lane_index() / 8 * 8;
}

// V of kTileDim hidden elements: 8 x 8 matrices [step][tile of sources][half of the step].
template <int kTiles>
struct Sources {
  std::uint32_t words[2][kTiles][2];

  ASSAY_DEVICE void load(const bf16* row) {
    ASSAY_UNROLL
    for (int i = 0; i < kTiles; ++i) {
      std::uint32_t four[4];
      ldmatrix_x4(four, row + i * kStep);
      ASSAY_UNROLL
      for (int j = 0; j < 4; ++j) {
        (kTiles == 2 ? words[i][j / 2][j % 2] : words[j / 2][0][j % 2]) = four[j];
      }
    }
  }
};

// Term p of V.
template <class T, int kTiles>
ASSAY_DEVICE void split_sources(const Sources<kTiles>& v, Sources<kTiles> (&planes)[kPlanes<T>]) {
  ASSAY_UNROLL
  for (int h = 0; h < 2; ++h) {
    ASSAY_UNROLL
    for (int j = 0; j < kTiles; ++j) {
      ASSAY_UNROLL
      for (int i = 0; i < 2; ++i) {
        std::uint32_t terms[kPlanes<T>];
        split_word<T>(v.words[h][j][i], terms);
        ASSAY_UNROLL
        for (int p = 0; p < kPlanes<T>; ++p) planes[p].words[h][j][i] = terms[p];
      }
    }
  }
}

// Two rows of tiles of queries, 16 x 16 each: dO above the first term of c, and the other two terms
// of c; what this lane gives to ldmatrix for them.
struct QueryRows {
  const bf16 *top, *low;
};

// The tile with dO in terms: c is bf16, so that only the first has it. i: the words of dO.
template <class T>
ASSAY_DEVICE void split_top(const std::uint32_t (&top)[4], int i, int j,
                            std::uint32_t (&planes)[kPlanes<T>][4]) {
  std::uint32_t first[kPlanes<T>], second[kPlanes<T>];
  split_word<T>(top[i], first);
  split_word<T>(top[j], second);
  ASSAY_UNROLL
  for (int p = 0; p < kPlanes<T>; ++p) {
    ASSAY_UNROLL
    for (int n = 0; n < 4; ++n) {
      planes[p][n] = n == i ? first[p] : n == j ? second[p] : p == 0 ? top[n] : 0u;
    }
  }
}

// Sums over D: [dO; c] Vᵀ, queries by sources, and the squares of V. Each mma of leading terms
// begins with 0, and what it gives is added up by rounding: a longer sum that cuts off would have
// to be declared. Products of other terms have accumulators of their own, where what is cut off is
// small. kWeightTerms: of c, 1 or 3.
template <class T, int kTiles, int kWeightTerms>
struct Dots {
  using Tiles = float[kTiles][4];
  Tiles top = {}, squares = {}, low = {}, other_top = {};

  ASSAY_DEVICE static void add(Tiles& to, const Tiles& from) {
    ASSAY_UNROLL
    for (int j = 0; j < kTiles; ++j) {
      ASSAY_UNROLL
      for (int i = 0; i < 4; ++i) to[j][i] += from[j][i];
    }
  }

  ASSAY_DEVICE void multiply(const QueryRows& rows, const bf16* v_row) {
    Sources<kTiles> v, planes[kPlanes<T>];
    v.load(v_row);
    split_sources<T>(v, planes);
    ASSAY_UNROLL
    for (int h = 0; h < 2; ++h) {
      Tiles own_top = {};
      std::uint32_t above[4], below[4], above_planes[kPlanes<T>][4];
      ldmatrix_x4(above, rows.top + h * kStep);
      if constexpr (kWeightTerms > 1) ldmatrix_x4(below, rows.low + h * kStep);
      split_top<T>(above, 0, 2, above_planes);
      ASSAY_UNROLL
      for (int p = 0; p < kPlanes<T>; ++p) {
        const auto& of = planes[p].words[h];
        ASSAY_UNROLL
        for (int j = 0; j < kTiles; ++j) {
          if constexpr (kWeightTerms > 1) mma_m16n8k16(low[j], below, of[j]);
          ASSAY_UNROLL
          for (int other = 0; other < kPlanes<T>; ++other) {
            mma_m16n8k16(p + other == 0 ? own_top[j] : other_top[j], above_planes[other], of[j]);
          }
        }
      }
      ASSAY_UNROLL
      for (int j = 0; j < kTiles; ++j) {
        ASSAY_UNROLL
        for (int i = 0; i < 4; ++i) {
          const float own = element<T>(&v.words[h][j][i / 2], i % 2);
          squares[j][i] += own * own;
        }
      }
      add(top, own_top);
    }
  }

  // After the last.
  ASSAY_DEVICE void finish() {
    if constexpr (kPlanes<T> > 1) add(top, other_top);
  }

  // Of query g and source 8 j + 2 t + i.
  ASSAY_DEVICE float gain(int j, int i) const { return top[j][i]; }
  ASSAY_DEVICE float score(int j, int i) const {
    return kWeightTerms == 1 ? top[j][2 + i] : top[j][2 + i] + (low[j][i] + low[j][2 + i]);
  }
  // Of source 8 j + g, in all its lanes, which must all call.
  ASSAY_DEVICE float square(int j) const {
    return warp_sum<1, 4>((squares[j][0] + squares[j][1]) + (squares[j][2] + squares[j][3]));
  }
};

// Sums over D of a warp in shared memory: (score, gain) of queries x sources, then squares.
struct Partial {
  int even;  // sources, rounded up to 2: lanes write two at once

  ASSAY_DEVICE explicit Partial(int sources) : even(sources + sources % 2) {}
  ASSAY_DEVICE int stride(int queries) const { return (2 * queries * even + even + 3) / 4 * 4; }
  ASSAY_DEVICE int pair(int q, int n) const { return 2 * (q * even + n); }
  ASSAY_DEVICE int square(int queries, int n) const { return 2 * queries * even + n; }
};

// α and ds r of a token as operands. dV = Σ A B over the pairs, whose A here are in the order in
// which they are added up, small terms first: top[i] goes with [dO; first term of c], low[i] with
// the other two terms of c. One tile of sources leaves 8 of A's rows free: they take the second
// term.
template <int kTiles, int kWeightTerms>
struct Operands {
  static constexpr int kLow = kWeightTerms > 1 ? kTiles : 0;
  std::uint32_t top[kTiles + 1][4], low[kTiles][4];
  std::uint32_t keys[kTerms][kTiles];  // operand B of X: sources by queries

  // Each from shared memory, in the order in which its registers must lie: copies of registers
  // would be made again for each product. Rows of 8 sources that are not there are zeros.
  ASSAY_DEVICE void load(const bf16* matrices) {
    const int lane = lane_index(), i = lane / 8;
    if constexpr (kTiles == 2) {
      const bf16* row = matrices + lane % 16 * kMatrixPitch;
      ASSAY_UNROLL
      for (int term = 0; term < kTerms; ++term) {
        ldmatrix_x4(top[2 - term], row + term * kMatrixSize + lane / 16 * 8);
      }
      if constexpr (kLow > 0) {
        ldmatrix_x4(low[0], row + kMatrixSize + kTileQueries);
        ldmatrix_x4(low[1], row + kTileQueries);
      }
      std::uint32_t four[4];
      ldmatrix_x4_transposed(four, row + i / 2 * kMatrixSize + kTileQueries);
      keys[2][0] = four[0], keys[2][1] = four[1], keys[1][0] = four[2], keys[1][1] = four[3];
      ldmatrix_x4_transposed(four, row + 2 * kMatrixSize + kTileQueries);
      keys[0][0] = four[0], keys[0][1] = four[1];
    } else {
      const bf16* row = matrices + lane % 8 * kMatrixPitch;
      const bf16* last = row + 2 * kMatrixSize;
      ldmatrix_x4(top[1], row + i % 2 * kMatrixSize + i / 2 * 8);
      if constexpr (kLow > 0) ldmatrix_x4(low[0], row + i % 2 * kMatrixSize + kTileQueries);
      ldmatrix_x4(top[0], last + i % 2 * 8 * kMatrixPitch + i / 2 * 8);
      std::uint32_t four[4];
      ldmatrix_x4_transposed(four, row + min(i, kTerms - 1) * kMatrixSize + kTileQueries);
      ASSAY_UNROLL
      for (int term = 0; term < kTerms; ++term) keys[2 - term][0] = four[term];
    }
  }

  // What dV gets from dO and c, for kStep hidden elements: out[tile][step][half][i] of source 8
  // tile + g and element 16 step + 8 half + 2 t + i.
  template <class T>
  ASSAY_DEVICE void mix(const QueryRows& rows, int step, float (&out)[kTiles][2][2][2]) const {
    std::uint32_t above[4], below[4], above_planes[kPlanes<T>][4];
    ldmatrix_x4_transposed(above, rows.top);
    if constexpr (kLow > 0) ldmatrix_x4_transposed(below, rows.low);
    split_top<T>(above, 0, 2, above_planes);
    ASSAY_UNROLL
    for (int half = 0; half < 2; ++half) {
      float sum[4] = {};
      ASSAY_UNROLL
      for (int i = 0; i <= kTiles; ++i) {
        ASSAY_UNROLL
        for (int p = kPlanes<T> - 1; p >= 0; --p) {
          const std::uint32_t b[2] = {above_planes[p][2 * half], above_planes[p][2 * half + 1]};
          mma_m16n8k16(sum, top[i], b);
        }
        if (i < kLow) {
          const std::uint32_t c[2] = {below[2 * half], below[2 * half + 1]};
          mma_m16n8k16(sum, low[i], c);
        }
      }
      ASSAY_UNROLL
      for (int i = 0; i < 2; ++i) {
        if constexpr (kTiles == 2) {
          out[0][step][half][i] = sum[i], out[1][step][half][i] = sum[2 + i];
        } else {
          out[0][step][half][i] = sum[i] + sum[2 + i];
        }
      }
    }
  }

  // x += this token's X of kTileDim hidden elements, from V transposed (lane_turned_column); as
  // accumulators of elements by queries. The sum over sources is cut off, that over tokens rounded.
  template <class T>
  ASSAY_DEVICE void add_x(const bf16* turned_row, float (*x)[4]) const {
    std::uint32_t turned[2][2 * kTiles];
    if constexpr (kTiles == 2) {
      ldmatrix_x4_transposed(turned[0], turned_row);
      ldmatrix_x4_transposed(turned[1], turned_row + kStep);
    } else {
      std::uint32_t four[4];
      ldmatrix_x4_transposed(four, turned_row);
      ASSAY_UNROLL
      for (int i = 0; i < 4; ++i) turned[i / 2][i % 2] = four[i];
    }
    ASSAY_UNROLL
    for (int h = 0; h < 2; ++h) {
      std::uint32_t planes[kPlanes<T>][2 * kTiles];
      ASSAY_UNROLL
      for (int j = 0; j < 2 * kTiles; ++j) {
        std::uint32_t terms[kPlanes<T>];
        split_word<T>(turned[h][j], terms);
        ASSAY_UNROLL
        for (int p = 0; p < kPlanes<T>; ++p) planes[p][j] = terms[p];
      }
      float sum[4] = {};
      ASSAY_UNROLL
      for (int i = 0; i < kTerms; ++i) {
        ASSAY_UNROLL
        for (int p = kPlanes<T> - 1; p >= 0; --p) mma(sum, planes[p], keys[i]);
      }
      ASSAY_UNROLL
      for (int i = 0; i < 4; ++i) x[h][i] += sum[i];
    }
  }

 private:
  ASSAY_DEVICE static void mma(float (&c)[4], const std::uint32_t (&a)[4],
                               const std::uint32_t (&b)[2]) {
    mma_m16n8k16(c, a, b);
  }
  ASSAY_DEVICE static void mma(float (&c)[4], const std::uint32_t (&a)[2],
                               const std::uint32_t (&b)[1]) {
    mma_m16n8k8(c, a, b[0]);
  }
};

}  // namespace assay::ASSAY_TWIN::attnres_bwd
