// What the cpu kernels of attnres_merge_fwd are given, and the steps that they share, a token's row
// at a time. Scratch rows are in the pair order of P's dtype T, padded_dim(dim) floats long.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <type_traits>

#include "harness/core/problem.h"
#include "harness/core/tensor.h"
#include "harness/core/variant.h"
#include "kernels/device/cpu_rows.h"

namespace assay::cpu::attnres_merge_fwd {

struct Arguments {
  TensorView p, w, o1, l1, h, lse;  // (T, D), (D), (T, D), (T), (T, D), (T)
  std::optional<TensorView> g, u;   // (D), (T, D)
  std::int64_t tokens, dim;
  double eps;
  float* c;        // (padded D): w⊙g, at the start of the workspace
  float* scratch;  // the rest of the workspace
  bool stream;     // H goes past the cache

  Arguments(const Problem& problem, const Buffers& b)
      : p(b["P"]),
        w(b["w"]),
        o1(b["O1"]),
        l1(b["L1"]),
        h(b["H"]),
        lse(b["LSE"]),
        tokens(problem.dim("T")),
        dim(problem.dim("D")),
        eps(problem.real("eps")),
        c(static_cast<float*>(b.workspace)),
        scratch(c + padded_dim(dim)),
        stream(goes_past_cache(h, p.spec.bytes() + o1.spec.bytes() + h.spec.bytes())) {
    if (const TensorView* weights = b.find("g")) g = *weights;
    if (const TensorView* update = b.find("U")) u = *update;
  }

  template <class T>
  T* row(std::int64_t t) const {
    return p.as<T>() + t * dim;
  }
};

template <class T>
void fold_weights(const Arguments& a) {
  run_simd<FoldWeights<T>>(&a.w, a.g ? &*a.g : nullptr, std::int64_t{1}, a.dim, a.c);
}

constexpr int digits(DType dtype) {
  return dtype == DType::f32 ? 24 : dtype == DType::f16 ? 11 : 8;
}

// P += U, row t. `row`: scratch.
template <Isa isa, class T>
ASSAY_INLINE void update_row(const Arguments& a, std::int64_t t, float* row) {
  const bool is_wide = digits(a.u->spec.dtype) > digits(dtype_of<T>);
  T* const p = a.row<T>(t);
  for (std::int64_t d = 0; d < a.dim; d += kPair<isa>) {
    const std::int64_t count = std::min<std::int64_t>(kPair<isa>, a.dim - d);
    const Pair<isa> x = load_part<isa>(p + d, count),
                    y = load_as<isa, T>(*a.u, t * a.dim + d, count);
    const Pair<isa> sum = is_wide ? Pair<isa>{add_to_odd(x.a, y.a), add_to_odd(x.b, y.b)}
                                  : Pair<isa>{x.a + y.a, x.b + y.b};
    store(row + d, sum);
  }
  store_row<isa, T>(reinterpret_cast<char*>(p), dtype_of<T>, row, a.dim, false);
}

// H = O1 + β (P - O1), row t. `row`: scratch.
template <Isa isa, class T>
ASSAY_INLINE void mix_row(const Arguments& a, std::int64_t t, float beta, float* row) {
  const T* const p = a.row<const T>(t);
  for (std::int64_t d = 0; d < a.dim; d += kPair<isa>) {
    const std::int64_t count = std::min<std::int64_t>(kPair<isa>, a.dim - d);
    const Pair<isa> x = load_part<isa>(p + d, count);
    Pair<isa> y = load_as<isa, T>(a.o1, t * a.dim + d, count);
    multiply_add(y, Pair<isa>{x.a - y.a, x.b - y.b}, beta);
    store(row + d, y);
  }
  const auto width = a.dim * static_cast<std::int64_t>(size_of(a.h.spec.dtype));
  store_row<isa, T>(a.h.as<char>() + t * width, a.h.spec.dtype, row, a.dim, a.stream);
}

// β of logit l beside l1, and the sum of both in the logarithm. A NaN passes through both.
struct Weights {
  float beta, lse;
};
inline Weights weigh(float l, float l1) {
  const float x = l - l1, odds = std::exp(-std::abs(x));
  return {(x >= 0 ? 1 : odds) / (1 + odds), std::max(l, l1) + std::log1p(odds)};
}

}  // namespace assay::cpu::attnres_merge_fwd
