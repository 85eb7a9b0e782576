// What the cpu kernels of attnres_fwd do with rows of V beside scoring them: softmaxes, mixes. Rows
// are `stride` elements apart and `dim` long; fp32 scratch is in the pair order of V's dtype
// (cpu_simd.h) and padded_dim(dim) long.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "kernels/attnres_fwd/cpu/arguments.h"
#include "kernels/device/cpu_rows.h"

namespace assay::cpu {

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
  const std::int64_t row = a.o.spec.row_offset(1) * static_cast<std::int64_t>(size_of(dtype));
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
