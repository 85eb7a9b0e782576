// What the cpu kernels of attnres_fwd do with rows of V: score them against queries, mix them. Rows
// are `stride` elements apart and `dim` long; fp32 scratch is in the pair order of V's dtype
// (cpu_simd.h) and padded_dim(dim) long.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "kernels/attnres_fwd/cpu/arguments.h"
#include "kernels/device/cpu_simd.h"

namespace assay::cpu {

// Independent fp32 running sums in each of score_rows' results. (There are twice as many, whose
// halves are added once in two to sixteen steps.)
inline int score_lanes() { return simd_width(best_isa()); }

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
      Floats<isa> sums[kBatch][kQueries + 1] = {};
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
      }
      for (std::int64_t r = 0; r < batch; ++r) {
        if constexpr (kSquares) squares[first + r] = sum<isa>(sums[r][kQueries]);
        for (int q = 0; q < kQueries; ++q) dots[(first + r) * kQueries + q] = sum<isa>(sums[r][q]);
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

// What a softmax over some rows has come to.
struct Softmax {
  float max = -std::numeric_limits<float>::infinity();
  float total = 0;  // Σ e^(l - max)
};

// Goes on with `rows` logits, `step` apart, which become their weights e^(l - max). The maximum
// passes over a NaN, the weight of its row does not.
ASSAY_INLINE Softmax exponentiate(float* l, std::int64_t rows, std::int64_t step, Softmax before) {
  Softmax s = before;
  for (std::int64_t n = 0; n < rows; ++n) s.max = std::max(s.max, l[n * step]);
  s.total *= std::exp(before.max - s.max);
  for (std::int64_t n = 0; n < rows; ++n) {
    l[n * step] = std::exp(l[n * step] - s.max);
    s.total += l[n * step];
  }
  return s;
}

ASSAY_INLINE void normalise(float* weight, std::int64_t rows, std::int64_t step, Softmax s) {
  for (std::int64_t n = 0; n < rows; ++n) weight[n * step] /= s.total;
}

ASSAY_INLINE float log_sum_exp(Softmax s) { return s.max + std::log(s.total); }

// f<k>(q) for groups of k = 4, 2 or 1 queries from q on.
template <class F>
ASSAY_INLINE void for_query_groups(std::int64_t queries, const F& f) {
  std::int64_t q = 0;
  for (; q + 4 <= queries; q += 4) f.template operator()<4>(q);
  if (q + 2 <= queries) {
    f.template operator()<2>(q);
    q += 2;
  }
  if (q < queries) f.template operator()<1>(q);
}

// Where the mixes of some queries go: to the rows of O, rounded, or to fp32 scratch (kQueries,
// padded_dim) as they are.
struct MixTarget {
  char* row;            // of the first query
  std::int64_t stride;  // bytes between queries
  DType dtype;
  bool stream;
  bool scratch;
};

inline MixTarget to_output(const Arguments& a, std::int64_t query, std::int64_t token) {
  const DType dtype = a.o.spec.dtype;
  const std::int64_t row = a.dim * static_cast<std::int64_t>(size_of(dtype));
  return {a.o.as<char>() + (query * a.tokens + token) * row, a.tokens * row, dtype, a.stream,
          false};
}

// `stride`: floats between queries.
inline MixTarget to_scratch(float* row, std::int64_t stride) {
  return {reinterpret_cast<char*>(row), stride * std::int64_t{sizeof(float)}, DType::f32, false,
          true};
}

// out_q = keep_q·before_q + Σ_r weight[r][q] v_r, column by column in registers. `before`
// (kQueries, padded_dim) may be null, and may be the target. Order is V's dtype: rows of another T
// have been widened, are in its pair order and padded with zeros.
template <class T, int kQueries, class Order>
struct MixRows {
  template <Isa isa>
  static ASSAY_INLINE void run(const T* v, std::int64_t rows, std::int64_t stride, std::int64_t dim,
                               const float* weight, const float* keep, const float* before,
                               const MixTarget* target) {
    const MixTarget out = *target;
    constexpr int kPairs = (isa == Isa::avx512 ? 4 : 2) / (kQueries < 4 ? 1 : 2);
    constexpr int kCount = kPairs * kPair<isa>;
    const std::int64_t padded = padded_dim(dim);
    const std::int64_t readable = std::is_same_v<T, Order> ? dim : padded;
    const auto each = [](const auto& f) ASSAY_INLINE_LAMBDA {
      unroll<kQueries>([&](auto q) ASSAY_INLINE_LAMBDA {
        unroll<kPairs>([&](auto u) ASSAY_INLINE_LAMBDA { f(q, u); });
      });
    };
    T copy[kCount];
    for (std::int64_t d = 0; d < dim; d += kCount) {
      Pair<isa> acc[kQueries][kPairs] = {};
      if (before) {
        each([&](auto q, auto u) ASSAY_INLINE_LAMBDA {
          acc[q][u] = scale(load<isa>(before + q * padded + d + u * kPair<isa>), keep[q]);
        });
      }
      for (std::int64_t r = 0; r < rows; ++r) {
        const T* row = padded_columns<kCount>(v + r * stride + d, readable - d, copy);
        Pair<isa> x[kPairs];
        unroll<kPairs>([&](auto u) ASSAY_INLINE_LAMBDA { x[u] = load<isa>(row + u * kPair<isa>); });
        each([&](auto q, auto u)
                 ASSAY_INLINE_LAMBDA { multiply_add(acc[q][u], x[u], weight[r * kQueries + q]); });
      }
      alignas(64) float column[kQueries][kCount];
      each([&](auto q, auto u)
               ASSAY_INLINE_LAMBDA { store(column[q] + u * kPair<isa>, acc[q][u]); });
      for (int q = 0; q < kQueries; ++q) {
        char* to = out.row + q * out.stride + d * static_cast<std::int64_t>(size_of(out.dtype));
        if (out.scratch) {
          write(to, column[q]);
        } else {
          store_row<isa, Order>(to, out.dtype, column[q], std::min<std::int64_t>(kCount, dim - d),
                                out.stream);
        }
      }
    }
  }
};

template <Isa isa, int kQueries, class Order, class T>
ASSAY_INLINE void mix_rows(const T* v, std::int64_t rows, std::int64_t stride, std::int64_t dim,
                           const float* weight, const float* keep, const float* before,
                           const MixTarget& out) {
  call_simd<MixRows<T, kQueries, Order>, isa>(v, rows, stride, dim, weight, keep, before, &out);
}

}  // namespace assay::cpu
