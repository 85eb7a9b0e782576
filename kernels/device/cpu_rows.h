// What cpu kernels do with rows of D elements: fold weights, score rows against them, norms. Rows
// are `stride` elements apart and `dim` long; fp32 scratch is in the pair order of the rows' dtype
// (cpu_simd.h) and padded_dim(dim) long.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

#include "harness/core/convert.h"
#include "harness/core/variant.h"
#include "kernels/device/cpu_simd.h"

namespace assay::cpu {

// To whole columns of the widest mix (4 pairs of 16 floats, see rows.h).
constexpr std::int64_t padded_dim(std::int64_t dim) { return (dim + 127) / 128 * 128; }

inline Workspace workspace_of(std::int64_t floats) {
  return {floats * static_cast<std::int64_t>(sizeof(float))};
}

// Non-temporal stores pay for whole cache lines, and where the data outgrows a core's share of the
// cache anyway.
inline bool goes_past_cache(const TensorView& rows, std::int64_t bytes_of_all) {
  constexpr std::int64_t kOutgrows = 16 << 20;
  return rows.spec.shape.back() * static_cast<std::int64_t>(size_of(rows.spec.dtype)) % 64 == 0 &&
         reinterpret_cast<std::uintptr_t>(rows.data) % 64 == 0 && bytes_of_all >= kOutgrows;
}

// Elements [at, at + count) of a vector of any dtype, in the pair order of Order; 0 beyond.
template <Isa isa, class Order>
ASSAY_INLINE Pair<isa> load_as(const TensorView& x, std::int64_t at, std::int64_t count) {
  switch (x.spec.dtype) {
    case DType::f16:
      return reorder<isa, f16, Order>(load_part<isa>(x.as<const f16>() + at, count));
    case DType::bf16:
      return reorder<isa, bf16, Order>(load_part<isa>(x.as<const bf16>() + at, count));
    case DType::f32:
      break;
  }
  return reorder<isa, float, Order>(load_part<isa>(x.as<const float>() + at, count));
}

// c = w⊙g (queries, padded_dim) in the pair order of V, 0 in the padding. A null g is all ones.
template <class V>
struct FoldWeights {
  template <Isa isa>
  static ASSAY_INLINE void run(const TensorView* w, const TensorView* g, std::int64_t queries,
                               std::int64_t dim, float* to) {
    const std::int64_t padded = padded_dim(dim);
    for (std::int64_t q = 0; q < queries; ++q) {
      for (std::int64_t d = 0; d < padded; d += kPair<isa>) {
        const std::int64_t count = std::clamp<std::int64_t>(dim - d, 0, kPair<isa>);
        Pair<isa> c =
            count > 0 ? load_as<isa, V>(*w, w->spec.row_offset(q) + d, count) : Pair<isa>{};
        if (g && count > 0) {
          const Pair<isa> y = load_as<isa, V>(*g, g->spec.row_offset(q) + d, count);
          c = {c.a * y.a, c.b * y.b};
        }
        store(to + q * padded + d, c);
      }
    }
  }
};

// x, rounded to the tensor's dtype, as its element `at`.
inline void put(const TensorView& to, std::int64_t at, float x) {
  dispatch(to.spec.dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    to.as<T>()[at] = narrow<T>(x);
  });
}

// Element `at`, whatever its dtype.
inline float get(const TensorView& from, std::int64_t at) {
  return dispatch(from.spec.dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    return widen(from.as<const T>()[at]);
  });
}

// `count` columns from `row` on, as if there were kCount: in place, or in a copy with zeros behind,
// so that one piece of code does whole and partial columns.
template <int kCount, class T>
ASSAY_INLINE const T* padded_columns(const T* row, std::int64_t count, T* copy) {
  if (count >= kCount) return row;
  for (std::int64_t i = 0; i < kCount; ++i) copy[i] = i < count ? row[i] : T{};
  return copy;
}

// Columns that score_rows takes of one row before it goes to the next: 256 bytes.
template <class T>
constexpr int kSegment = 256 / static_cast<int>(sizeof(T));

// Segments that go into one running sum; a row has one for each so many, which are then added: that
// keeps errors of long rows small.
constexpr int kRunSegments = 8;

// The height (Numerics) of score_rows' results over `dim` columns of that dtype.
inline double score_height(std::int64_t dim, DType dtype) {
  const std::int64_t segment = 256 / static_cast<std::int64_t>(size_of(dtype));
  const std::int64_t lanes = simd_width(best_isa());
  const std::int64_t segments = (dim + segment - 1) / segment;
  const std::int64_t runs = (segments + kRunSegments - 1) / kRunSegments;
  // In a segment: an addition for every two vectors, and one of the two sums.
  const std::int64_t run =
      std::min<std::int64_t>(segments, kRunSegments) * (segment / (2 * lanes) + 1);
  return height(run + runs + std::bit_width(static_cast<std::uint64_t>(lanes)), 1);
}

// Adds a segment of kRows rows, of which `count` columns are left, to their sums: v² (if kSquares)
// and c_q v for each query, one register each.
template <Isa isa, int kRows, int kQueries, bool kSquares, class T>
ASSAY_INLINE void score_segment(const T* v, std::int64_t stride, std::int64_t count, const float* c,
                                std::int64_t padded, Floats<isa> (*sums)[kQueries + 1]) {
  T copy[kRows][kSegment<T>];
  const T* row[kRows];
  Pair<isa> acc[kRows][kQueries + 1];
  unroll<kRows>([&](auto r) ASSAY_INLINE_LAMBDA {
    row[r] = padded_columns<kSegment<T>>(v + r * stride, count, copy[r]);
    unroll<kQueries + 1>(
        [&](auto q) ASSAY_INLINE_LAMBDA { acc[r][q] = Pair<isa>{sums[r][q], Floats<isa>{}}; });
  });
  unroll<kSegment<T> / kPair<isa>>([&](auto i) ASSAY_INLINE_LAMBDA {
    constexpr int kAt = i * kPair<isa>;
    Pair<isa> x[kRows];
    unroll<kRows>([&](auto r) ASSAY_INLINE_LAMBDA {
      x[r] = load<isa>(row[r] + kAt);
      if constexpr (kSquares) multiply_add(acc[r][kQueries], x[r], x[r]);
    });
    unroll<kQueries>([&](auto q) ASSAY_INLINE_LAMBDA {
      const Pair<isa> y = load<isa>(c + q * padded + kAt);
      unroll<kRows>([&](auto r) ASSAY_INLINE_LAMBDA { multiply_add(acc[r][q], x[r], y); });
    });
  });
  unroll<kRows>([&](auto r) ASSAY_INLINE_LAMBDA {
    unroll<kQueries + 1>([&](auto q)
                             ASSAY_INLINE_LAMBDA { sums[r][q] = acc[r][q].a + acc[r][q].b; });
  });
}

// squares[r] = Σ_d v² (if kSquares), dots[r][q] = Σ_d c_q v for `rows` rows and kQueries queries.
// Up to 16 rows advance together, a segment of each at a time: from memory that keeps more
// prefetchers busy than row after row does, and is 1.7 times as fast.
template <class T, int kQueries, bool kSquares>
struct ScoreRows {
  template <Isa isa>
  static ASSAY_INLINE void run(const T* v, std::int64_t rows, std::int64_t stride, std::int64_t dim,
                               const float* c, float* squares, float* dots) {
    constexpr std::int64_t kBatch = 16;
    constexpr int kTile = isa == Isa::avx512 && kQueries > 1 ? 2 : 1;  // rows that share c
    const std::int64_t padded = padded_dim(dim);
    for (std::int64_t first = 0; first < rows; first += kBatch) {
      const std::int64_t batch = std::min(kBatch, rows - first);
      Floats<isa> totals[kBatch][kQueries + 1] = {}, sums[kBatch][kQueries + 1] = {};
      int segments = 0;
      for (std::int64_t d = 0; d < dim; d += kSegment<T>) {
        const T* at = v + first * stride + d;
        std::int64_t r = 0;
        for (; r + kTile <= batch; r += kTile) {
          score_segment<isa, kTile, kQueries, kSquares>(at + r * stride, stride, dim - d, c + d,
                                                        padded, sums + r);
        }
        if (kTile > 1 && r < batch) {
          score_segment<isa, 1, kQueries, kSquares>(at + r * stride, stride, dim - d, c + d, padded,
                                                    sums + r);
        }
        if (++segments < kRunSegments && d + kSegment<T> < dim) continue;
        segments = 0;
        for (r = 0; r < batch; ++r) {
          for (int q = 0; q <= kQueries; ++q) {
            totals[r][q] += sums[r][q];
            sums[r][q] = Floats<isa>{};
          }
        }
      }
      for (std::int64_t r = 0; r < batch; ++r) {
        if constexpr (kSquares) squares[first + r] = sum<isa>(totals[r][kQueries]);
        for (int q = 0; q < kQueries; ++q)
          dots[(first + r) * kQueries + q] = sum<isa>(totals[r][q]);
      }
    }
  }
};

template <Isa isa, int kQueries, bool kSquares = true, class T>
ASSAY_INLINE void score_rows(const T* v, std::int64_t rows, std::int64_t stride, std::int64_t dim,
                             const float* c, float* squares, float* dots) {
  call_simd<ScoreRows<T, kQueries, kSquares>, isa>(v, rows, stride, dim, c, squares, dots);
}

// r of l = r v·c: 1/√(mean v² + eps).
ASSAY_INLINE float rms_reciprocal(float squares, std::int64_t dim, double eps) {
  return static_cast<float>(1.0 / std::sqrt(squares / static_cast<double>(dim) + eps));
}

// x + y rounded to odd: rounded once more, to fewer bits, it is what the sum itself would be.
template <class V>
ASSAY_INLINE V add_to_odd(V x, V y) {
  const V sum = x + y, back = sum - x;
  const V lost = (x - (sum - back)) + (y - back);  // exact (Knuth)
  using Bits = simd_vector<std::int32_t, static_cast<int>(sizeof(V) / 4)>;
  const auto bits = reinterpret_cast<Bits>(sum);
  const Bits is_finite = (bits & 0x7f800000) != 0x7f800000, is_even = (bits & 1) == 0;
  const Bits is_lost = lost != 0, is_outward = (lost > 0) == (sum > 0);
  const Bits step = (is_outward & 1) | (~is_outward & -1);
  return reinterpret_cast<V>(bits + (step & is_finite & is_even & is_lost));
}

}  // namespace assay::cpu
