// The kernel that every liar of attnres_merge_fwd is made from: one block per token, P read once
// for the sums and once for the mix. It is correct, and written as calls of a rule; each bug
// derives a rule from `Correct` that overrides a few of them. Dtypes are known at run time only:
// one instantiation per bug.
#pragma once

#include <cstdint>

#include "harness/core/variant.h"
#include "kernels/device/any_dtype.h"
#include "kernels/device/block.h"
#include "kernels/device/warp.h"

namespace assay::ASSAY_TWIN::liars_attnres_merge_fwd {

inline constexpr int kThreads = 64;

struct Arguments {
  AnyInput p, w, g;     // (T, D), (D), (D); g may be absent: ones
  AnyInput o1, l1, u;   // (T, D), (T), (T, D); u may be absent
  AnyOutput updated;    // P again
  AnyOutput h, lse;     // (T, D), (T)
  int dim;              // D
  std::int64_t tokens;  // T
  float eps;
  float* scratch;  // for bugs that keep something
};

template <class T>
ASSAY_DEVICE float rounded(float x) {
  return widen(narrow<T>(x));
}
ASSAY_DEVICE float rounded_to(DType dtype, float x) {
  return dtype == DType::f16 ? rounded<f16>(x) : dtype == DType::bf16 ? rounded<bf16>(x) : x;
}

ASSAY_DEVICE float natural_exp(float x) { return exp2_approx(x * kLog2E); }

struct Correct {
  // Which parts there are.
  ASSAY_DEVICE static bool skips(const Arguments&, std::int64_t /*token*/) { return false; }
  ASSAY_DEVICE static int sum_dim(const Arguments& a) { return a.dim; }
  ASSAY_DEVICE static int mix_dim(const Arguments& a) { return a.dim; }

  // Where they lie.
  ASSAY_DEVICE static std::int64_t o1_token(const Arguments&, std::int64_t t) { return t; }
  ASSAY_DEVICE static std::int64_t l1_token(const Arguments&, std::int64_t t) { return t; }

  // Update. U has no more bits than P here.
  ASSAY_DEVICE static float update(const Arguments& a, float p, float u) {
    return rounded_to(a.p.dtype, p + u);
  }
  ASSAY_DEVICE static void write_back(const Arguments& a, std::int64_t i, float x) {
    a.updated.store(i, x);
  }
  // What the sums, and what the mix, make of P's element i, of which `before` is the value without
  // U.
  ASSAY_DEVICE static float summed(const Arguments&, std::int64_t /*i*/, float x,
                                   float /*before*/) {
    return x;
  }
  ASSAY_DEVICE static float mixed(const Arguments& a, std::int64_t i) { return a.p.load(i); }

  // Logit: r Σ c P.
  ASSAY_DEVICE static float weight(const Arguments& a, int d) {
    return a.w.load(d) * (a.g.present() ? a.g.load(d) : 1.0f);
  }
  ASSAY_DEVICE static float add_square(float sum, float x) { return sum + x * x; }
  ASSAY_DEVICE static float add_product(float sum, float c, float x) { return sum + c * x; }
  ASSAY_DEVICE static float mean(float sum, const Arguments& a) {
    return sum / static_cast<float>(a.dim);
  }
  ASSAY_DEVICE static float reciprocal_rms(float mean, float eps) {
    return reciprocal_sqrt(mean + eps);
  }
  ASSAY_DEVICE static float logit(float r, float sum, const Arguments&) { return r * sum; }

  // Weights and the logarithm of their sum.
  ASSAY_DEVICE static float difference(float l, float l1) { return l - l1; }
  ASSAY_DEVICE static float sigmoid(float x) {
    const float odds = natural_exp(x < 0 ? x : -x);
    return (x >= 0 ? 1 : odds) / (1 + odds);
  }
  ASSAY_DEVICE static float lse(float l, float l1) {
    const float x = l - l1;
    return maximum(l, l1) + log_accurate(1 + natural_exp(x < 0 ? x : -x));
  }
  ASSAY_DEVICE static float mix(float beta, float p, float o1) { return o1 + beta * (p - o1); }
  ASSAY_DEVICE static void store(const Arguments& a, std::int64_t i, float x) { a.h.store(i, x); }
  ASSAY_DEVICE static void store_lse(const Arguments& a, std::int64_t t, float x) {
    if (thread_index() == 0) a.lse.store(t, x);
  }

  ASSAY_DEVICE static void sync_before_sums() { sync_threads(); }
  ASSAY_DEVICE static void sync_after_sums() { sync_threads(); }
  ASSAY_DEVICE static void end(const Arguments&, std::int64_t /*token*/) {}
};

// The sums over the block, in every thread.
template <class Rule>
ASSAY_DEVICE void block_sums(float (&sums)[2]) {
  ASSAY_SHARED(parts, [kThreads / kWarpSize][2], float);
  sums[0] = warp_sum(sums[0]);
  sums[1] = warp_sum(sums[1]);
  Rule::sync_before_sums();  // the previous sums have been read
  if (lane_index() == 0) {
    parts[warp_index()][0] = sums[0];
    parts[warp_index()][1] = sums[1];
  }
  Rule::sync_after_sums();
  for (int k = 0; k < 2; ++k) sums[k] = parts[0][k] + parts[1][k];
}

// Token t, by one block.
template <class Rule>
ASSAY_DEVICE void merge_token(const Arguments& a, std::int64_t t) {
  const std::int64_t row = t * a.dim;
  float sums[2] = {};  // Σ P², Σ c P
  for (int d = thread_index(); d < a.dim; d += kThreads) {
    const float before = a.p.load(row + d);
    float x = before;
    if (a.u.present()) {
      x = Rule::update(a, before, a.u.load(row + d));
      Rule::write_back(a, row + d, x);
    }
    if (d >= Rule::sum_dim(a)) continue;
    x = Rule::summed(a, row + d, x, before);
    sums[0] = Rule::add_square(sums[0], x);
    sums[1] = Rule::add_product(sums[1], Rule::weight(a, d), x);
  }
  block_sums<Rule>(sums);
  const float r = Rule::reciprocal_rms(Rule::mean(sums[0], a), a.eps);
  const float l = Rule::logit(r, sums[1], a), l1 = a.l1.load(Rule::l1_token(a, t));
  const float beta = Rule::sigmoid(Rule::difference(l, l1));
  const std::int64_t o1_row = Rule::o1_token(a, t) * a.dim;
  for (int d = thread_index(); d < Rule::mix_dim(a); d += kThreads)
    Rule::store(a, row + d, Rule::mix(beta, Rule::mixed(a, row + d), a.o1.load(o1_row + d)));
  Rule::store_lse(a, t, Rule::lse(l, l1));
  Rule::end(a, t);
}

template <class Rule>
ASSAY_KERNEL(kThreads)
void merge(Arguments a) {
  const std::int64_t t = block_index();
  if (!Rule::skips(a, t)) merge_token<Rule>(a, t);
}

}  // namespace assay::ASSAY_TWIN::liars_attnres_merge_fwd
