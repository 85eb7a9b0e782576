// The kernels that every liar of attnres_bwd is made from: one block per token makes dV and the
// token's part of X, another kernel adds those up. They are correct, and written as calls of a
// rule; each bug derives a rule from `Correct` that overrides a few of them. Dtypes are known at
// run time only: one instantiation per bug.
#pragma once

#include <cstdint>

#include "harness/core/variant.h"
#include "kernels/device/any_dtype.h"
#include "kernels/device/block.h"
#include "kernels/device/rows.h"
#include "kernels/device/warp.h"

namespace assay::ASSAY_TWIN::liars_attnres_bwd {

inline constexpr int kThreads = 64;

struct Arguments {
  AnyInput v, w, g;           // (N, T, D), (Q, D), (Q, D); g may be absent: ones
  AnyInput d_o, d_lse;        // (Q, T, D), (Q, T); dLSE may be absent: zeros
  AnyOutput d_v, d_w, d_g;    // (N, T, D), (Q, D), (Q, D); dg is there if g is
  int sources, queries, dim;  // N, Q, D
  std::int64_t tokens;        // T
  float eps;
  bool accumulate;
  float* x;  // (T, Q, D): of each token

  ASSAY_DEVICE std::int64_t row(int n, std::int64_t t) const { return (n * tokens + t) * dim; }
};

template <class T>
ASSAY_DEVICE float rounded(float x) {
  return widen(narrow<T>(x));
}

// Of one source, query and token.
struct Score {
  float l, r, gain;  // gain: ⟨dO, v⟩
};

struct Correct {
  // Which parts there are.
  ASSAY_DEVICE static int sum_dim(const Arguments& a) { return a.dim; }
  ASSAY_DEVICE static int gradient_dim(const Arguments& a) { return a.dim; }
  ASSAY_DEVICE static int x_sources(const Arguments& a) { return a.sources; }
  ASSAY_DEVICE static int v_queries(const Arguments& a) { return a.queries; }
  ASSAY_DEVICE static std::int64_t first_token(const Arguments&) { return 0; }
  ASSAY_DEVICE static std::int64_t x_tokens(const Arguments& a) { return a.tokens; }

  // The forward again.
  ASSAY_DEVICE static float weight(const Arguments& a, std::int64_t i) {
    return a.w.load(i) * (a.g.present() ? a.g.load(i) : 1.0f);
  }
  ASSAY_DEVICE static float mean(float sum, const Arguments& a) {
    return sum / static_cast<float>(a.dim);
  }
  ASSAY_DEVICE static float reciprocal_rms(float mean, float eps) {
    return reciprocal_sqrt(mean + eps);
  }
  ASSAY_DEVICE static float logit(float sum, float r) { return sum * r; }
  ASSAY_DEVICE static float start_of_maximum() { return minus_infinity(); }
  ASSAY_DEVICE static float exponential(float x) { return exp2_approx(x * kLog2E); }
  ASSAY_DEVICE static float probability(float alpha) { return alpha; }

  // The softmax's backward.
  ASSAY_DEVICE static std::int64_t cotangent_row(const Arguments& a, int q, std::int64_t t) {
    return (q * a.tokens + t) * a.dim;
  }
  ASSAY_DEVICE static float d_lse(const Arguments& a, int q, std::int64_t t) {
    return a.d_lse.present() ? a.d_lse.load(q * a.tokens + t) : 0.0f;
  }
  ASSAY_DEVICE static float delta(float delta) { return delta; }
  ASSAY_DEVICE static float d_score(float alpha, float gain, float delta, float d_lse) {
    return alpha * (gain - delta + d_lse);
  }

  // Gradients: dV += alpha dO + key c - radial v, X += key v.
  ASSAY_DEVICE static float key(float ds, const Score& s) { return ds * s.r; }
  ASSAY_DEVICE static float x_key(float ds, const Score& s) { return ds * s.r; }
  ASSAY_DEVICE static float radial(float ds, const Score& s, const Arguments& a) {
    return ds * s.l * s.r * s.r / static_cast<float>(a.dim);
  }
  ASSAY_DEVICE static float given(const Arguments& a, std::int64_t i) {
    return a.accumulate ? AnyInput{a.d_v.data, a.d_v.dtype}.load(i) : 0.0f;
  }
  ASSAY_DEVICE static void store(const Arguments& a, std::int64_t i, float x) { a.d_v.store(i, x); }
  ASSAY_DEVICE static float d_w(const Arguments& a, std::int64_t i, float x) {
    return a.g.present() ? a.g.load(i) * x : x;
  }
  ASSAY_DEVICE static float d_g(const Arguments& a, std::int64_t i, float x) {
    return a.w.load(i) * x;
  }
};

struct Coefficients {
  float alpha, key, x_key, radial;
};

// Token t, by one block; coefficients (Q, N) in shared memory.
template <class Rule>
ASSAY_KERNEL(kThreads)
void gradients(Arguments a) {
  const std::int64_t t = Rule::first_token(a) + block_index();
  auto* const scores = dyn_shared<Score>();
  auto* const coefficients = reinterpret_cast<Coefficients*>(scores + a.queries * a.sources);

  for (int q = 0; q < a.queries; ++q) {
    for (int n = 0; n < a.sources; ++n) {
      float square = 0, dot = 0, gain = 0;
      for (int d = thread_index(); d < Rule::sum_dim(a); d += kThreads) {
        const float v = a.v.load(a.row(n, t) + d);
        square += v * v;
        dot += Rule::weight(a, static_cast<std::int64_t>(q) * a.dim + d) * v;
        gain += a.d_o.load(Rule::cotangent_row(a, q, t) + d) * v;
      }
      square = block_sum(square), dot = block_sum(dot), gain = block_sum(gain);
      const float r = Rule::reciprocal_rms(Rule::mean(square, a), a.eps);
      if (thread_index() == 0) scores[q * a.sources + n] = {Rule::logit(dot, r), r, gain};
    }
  }
  sync_threads();

  for (int q = thread_index(); q < a.queries; q += kThreads) {
    const Score* const s = scores + q * a.sources;
    Coefficients* const of = coefficients + q * a.sources;
    float max = Rule::start_of_maximum(), total = 0, delta = 0;
    for (int n = 0; n < a.sources; ++n) max = maximum(max, s[n].l);
    for (int n = 0; n < a.sources; ++n) {
      of[n].alpha = Rule::exponential(s[n].l - max);
      total += of[n].alpha;
    }
    for (int n = 0; n < a.sources; ++n) {
      of[n].alpha = Rule::probability(of[n].alpha / total);
      delta += of[n].alpha * s[n].gain;
    }
    delta = Rule::delta(delta);
    for (int n = 0; n < a.sources; ++n) {
      const float ds = Rule::d_score(of[n].alpha, s[n].gain, delta, Rule::d_lse(a, q, t));
      of[n].key = Rule::key(ds, s[n]);
      of[n].x_key = Rule::x_key(ds, s[n]);
      of[n].radial = Rule::radial(ds, s[n], a);
    }
  }
  sync_threads();

  for (int d = thread_index(); d < Rule::gradient_dim(a); d += kThreads) {
    for (int n = 0; n < a.sources; ++n) {
      const float v = a.v.load(a.row(n, t) + d);
      float sum = Rule::given(a, a.row(n, t) + d);
      for (int q = 0; q < Rule::v_queries(a); ++q) {
        const Coefficients of = coefficients[q * a.sources + n];
        sum += of.alpha * a.d_o.load(Rule::cotangent_row(a, q, t) + d) +
               of.key * Rule::weight(a, static_cast<std::int64_t>(q) * a.dim + d) - of.radial * v;
      }
      Rule::store(a, a.row(n, t) + d, sum);
    }
    for (int q = 0; q < a.queries; ++q) {
      float sum = 0;
      for (int n = 0; n < Rule::x_sources(a); ++n)
        sum += coefficients[q * a.sources + n].x_key * a.v.load(a.row(n, t) + d);
      a.x[(t * a.queries + q) * a.dim + d] = sum;
    }
  }
}

// dw and dg, a thread for each element.
template <class Rule>
ASSAY_KERNEL(kThreads)
void weights(Arguments a) {
  const std::int64_t columns = static_cast<std::int64_t>(a.queries) * a.dim;
  const std::int64_t i = static_cast<std::int64_t>(block_index()) * kThreads + thread_index();
  if (i >= columns) return;
  float sum = 0;
  for (std::int64_t t = 0; t < Rule::x_tokens(a); ++t) sum += a.x[t * columns + i];
  a.d_w.store(i, Rule::d_w(a, i, sum));
  if (a.d_g.data != nullptr) a.d_g.store(i, Rule::d_g(a, i, sum));
}

}  // namespace assay::ASSAY_TWIN::liars_attnres_bwd
