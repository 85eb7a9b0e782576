// The kernels that every liar of attnres_merge_bwd is made from: one block per token makes dP, dO1,
// dL1 and the token's part of X, another kernel adds those up. They are correct, and written as
// calls of a rule; each bug derives a rule from `Correct` that overrides a few of them. Dtypes are
// known at run time only: one instantiation per bug.
#pragma once

#include <cstdint>

#include "harness/core/variant.h"
#include "kernels/device/any_dtype.h"
#include "kernels/device/block.h"
#include "kernels/device/rows.h"
#include "kernels/device/warp.h"

namespace assay::ASSAY_TWIN::liars_attnres_merge_bwd {

inline constexpr int kThreads = 64;

struct Arguments {
  AnyInput p, o1, d_h;        // (T, D)
  AnyInput w, g;              // (D); g may be absent: ones
  AnyInput l1, d_lse;         // (T); dLSE may be absent: zeros
  AnyOutput d_p, d_o1, d_l1;  // (T, D), (T, D), (T)
  AnyOutput d_w, d_g;         // (D); dg is there if g is
  int dim;                    // D
  std::int64_t tokens;        // T
  float eps;
  bool accumulate;
  float* x;  // (T, D): of each token
};

template <class T>
ASSAY_DEVICE float rounded(float x) {
  return widen(narrow<T>(x));
}

// Of one token.
struct Merge {
  float l, r, beta, rest;
  float by_p, by_o1, gain;  // ⟨dH, P⟩, ⟨dH, O1⟩, ⟨dH, P - O1⟩
};

struct Correct {
  // Which parts there are.
  ASSAY_DEVICE static int sum_dim(const Arguments& a) { return a.dim; }
  ASSAY_DEVICE static int gradient_dim(const Arguments& a) { return a.dim; }
  ASSAY_DEVICE static std::int64_t x_tokens(const Arguments& a) { return a.tokens; }
  ASSAY_DEVICE static std::int64_t other_row(const Arguments& a, std::int64_t t) {
    return t * a.dim;
  }
  ASSAY_DEVICE static std::int64_t cotangent_row(const Arguments& a, std::int64_t t) {
    return t * a.dim;
  }

  // The forward again.
  ASSAY_DEVICE static float weight(const Arguments& a, std::int64_t d) {
    return a.w.load(d) * (a.g.present() ? a.g.load(d) : 1.0f);
  }
  ASSAY_DEVICE static float mean(float sum, const Arguments& a) {
    return sum / static_cast<float>(a.dim);
  }
  ASSAY_DEVICE static float reciprocal_rms(float mean, float eps) {
    return reciprocal_sqrt(mean + eps);
  }
  ASSAY_DEVICE static float logit(float sum, float r) { return sum * r; }
  // β and 1 - β.
  ASSAY_DEVICE static void weigh(Merge& m, float l1) {
    const float x = m.l - l1, odds = exp2_approx((x < 0 ? x : -x) * kLog2E);
    m.beta = (x >= 0 ? 1 : odds) / (1 + odds);
    m.rest = (x >= 0 ? odds : 1) / (1 + odds);
  }

  // The merge's backward.
  ASSAY_DEVICE static float d_lse(const Arguments& a, std::int64_t t) {
    return a.d_lse.present() ? a.d_lse.load(t) : 0.0f;
  }
  ASSAY_DEVICE static float gain(const Merge& m) { return m.gain; }
  ASSAY_DEVICE static float s(const Merge& m, float gain) { return m.beta * m.rest * gain; }
  ASSAY_DEVICE static float d_logit(const Merge& m, float s, float d_lse) {
    return s + m.beta * d_lse;
  }
  ASSAY_DEVICE static float d_l1(const Merge& m, float s, float d_lse) {
    return m.rest * d_lse - s;
  }

  // Gradients: dP = of_h dH + key c - radial P, dO1 = of_o1 dH, X += x_key P.
  ASSAY_DEVICE static float of_h(const Merge& m) { return m.beta; }
  ASSAY_DEVICE static float of_o1(const Merge& m) { return m.rest; }
  ASSAY_DEVICE static float key(float dl, const Merge& m) { return dl * m.r; }
  ASSAY_DEVICE static float x_key(float dl, const Merge& m) { return dl * m.r; }
  ASSAY_DEVICE static float radial(float dl, const Merge& m, const Arguments& a) {
    return dl * m.l * m.r * m.r / static_cast<float>(a.dim);
  }
  ASSAY_DEVICE static float given(const Arguments& a, std::int64_t i) {
    return a.accumulate ? AnyInput{a.d_p.data, a.d_p.dtype}.load(i) : 0.0f;
  }
  ASSAY_DEVICE static void store(const Arguments& a, std::int64_t i, float x) { a.d_p.store(i, x); }
  ASSAY_DEVICE static float d_w(const Arguments& a, std::int64_t d, float x) {
    return a.g.present() ? a.g.load(d) * x : x;
  }
  ASSAY_DEVICE static float d_g(const Arguments& a, std::int64_t d, float x) {
    return a.w.load(d) * x;
  }
};

// Token t, by one block.
template <class Rule>
ASSAY_KERNEL(kThreads)
void gradients(Arguments a) {
  const std::int64_t t = block_index(), row = t * a.dim;
  const std::int64_t cotangents = Rule::cotangent_row(a, t), others = Rule::other_row(a, t);

  float square = 0, dot = 0;
  Merge m = {};
  for (int d = thread_index(); d < Rule::sum_dim(a); d += kThreads) {
    const float p = a.p.load(row + d), o1 = a.o1.load(others + d), h = a.d_h.load(cotangents + d);
    square += p * p;
    dot += Rule::weight(a, d) * p;
    m.by_p += h * p;
    m.by_o1 += h * o1;
    m.gain += h * (p - o1);
  }
  m.by_p = block_sum(m.by_p), m.by_o1 = block_sum(m.by_o1), m.gain = block_sum(m.gain);
  m.r = Rule::reciprocal_rms(Rule::mean(block_sum(square), a), a.eps);
  m.l = Rule::logit(block_sum(dot), m.r);
  Rule::weigh(m, a.l1.load(t));

  const float d_lse = Rule::d_lse(a, t), s = Rule::s(m, Rule::gain(m)),
              dl = Rule::d_logit(m, s, d_lse);
  if (thread_index() == 0) a.d_l1.store(t, Rule::d_l1(m, s, d_lse));
  const float of_h = Rule::of_h(m), of_o1 = Rule::of_o1(m), key = Rule::key(dl, m),
              x_key = Rule::x_key(dl, m), radial = Rule::radial(dl, m, a);
  for (int d = thread_index(); d < Rule::gradient_dim(a); d += kThreads) {
    const float p = a.p.load(row + d), h = a.d_h.load(cotangents + d);
    const float sum = of_h * h + key * Rule::weight(a, d) - radial * p;
    Rule::store(a, row + d, Rule::given(a, row + d) + sum);
    a.d_o1.store(row + d, of_o1 * h);
    a.x[row + d] = x_key * p;
  }
}

// dw and dg, a thread for each element.
template <class Rule>
ASSAY_KERNEL(kThreads)
void weights(Arguments a) {
  const int d = block_index() * kThreads + thread_index();
  if (d >= a.dim) return;
  float sum = 0;
  for (std::int64_t t = 0; t < Rule::x_tokens(a); ++t) sum += a.x[t * a.dim + d];
  a.d_w.store(d, Rule::d_w(a, d, sum));
  if (a.d_g.data != nullptr) a.d_g.store(d, Rule::d_g(a, d, sum));
}

}  // namespace assay::ASSAY_TWIN::liars_attnres_merge_bwd
