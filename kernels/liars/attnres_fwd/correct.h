// The kernel that every liar of attnres_fwd is made from: one block per token, sources one after
// the other by an online softmax, the sums in shared memory. It is correct, and written as calls of
// a rule; each bug derives a rule from `Correct` that overrides a few of them. Dtypes are known at
// run time only: one instantiation per bug.
#pragma once

#include <cstdint>

#include "harness/core/variant.h"
#include "kernels/device/any_dtype.h"
#include "kernels/device/block.h"
#include "kernels/device/warp.h"

namespace assay::ASSAY_TWIN::liars_attnres_fwd {

inline constexpr int kThreads = 64;

struct Arguments {
  AnyInput v, w, g;           // (N, T, D), (Q, D), (Q, D); g may be absent: ones
  AnyOutput o, lse;           // (Q, T, D), (Q, T)
  int sources, queries, dim;  // N, Q, D
  std::int64_t tokens;        // T
  std::int64_t v_pitch, w_pitch, g_pitch, o_pitch, lse_pitch;  // elements from row to row
  float eps;
  // For bugs that keep something; the correct kernel has neither.
  float* scratch;
  int* calls;
};

// A number that no kernel here computes: what is read only to be compared with it has been read,
// and changes nothing.
inline constexpr std::uint32_t kNever = 0x7fa10000u;

template <class T>
ASSAY_DEVICE float rounded(float x) {
  return widen(narrow<T>(x));
}

ASSAY_DEVICE float natural_exp(float x) { return exp2_approx(x * kLog2E); }

struct Correct {
  // Which parts there are.
  ASSAY_DEVICE static bool skips(const Arguments&, std::int64_t /*token*/) { return false; }
  ASSAY_DEVICE static int queries(const Arguments& a) { return a.queries; }
  ASSAY_DEVICE static int sources(const Arguments& a) { return a.sources; }
  ASSAY_DEVICE static int sum_dim(const Arguments& a) { return a.dim; }
  ASSAY_DEVICE static int mix_dim(const Arguments& a) { return a.dim; }
  // The i-th source is (i + turn) % N.
  ASSAY_DEVICE static int turn(const Arguments&, std::int64_t /*token*/) { return 0; }
  ASSAY_DEVICE static int source(const Arguments& a, int i, int turn) {
    return (i + turn) % a.sources;
  }

  // Where they lie, in elements.
  ASSAY_DEVICE static std::int64_t row(const Arguments& a, int n, std::int64_t t) {
    return (n * a.tokens + t) * a.v_pitch;
  }
  ASSAY_DEVICE static std::int64_t scored_row(const Arguments& a, int /*n*/, std::int64_t /*t*/,
                                              std::int64_t row) {
    (void)a;
    return row;
  }
  ASSAY_DEVICE static std::int64_t output(const Arguments& a, int q, std::int64_t t, int d) {
    return (q * a.tokens + t) * a.o_pitch + d;
  }
  ASSAY_DEVICE static std::int64_t lse_place(const Arguments& a, int q, std::int64_t t) {
    return q * a.lse_pitch + t;
  }
  ASSAY_DEVICE static float load(const Arguments& a, std::int64_t i) { return a.v.load(i); }
  ASSAY_DEVICE static void store(const Arguments& a, std::int64_t i, float x) { a.o.store(i, x); }
  ASSAY_DEVICE static void store_lse(const Arguments& a, std::int64_t i, float x) {
    if (thread_index() == 0) a.lse.store(i, x);
  }

  // Logits: r Σ c V.
  ASSAY_DEVICE static float weight(const Arguments& a, int q, int d) {
    const float g = a.g.present() ? a.g.load(q * a.g_pitch + d) : 1.0f;
    return a.w.load(q * a.w_pitch + d) * g;
  }
  ASSAY_DEVICE static float add_square(float sum, float x) { return sum + x * x; }
  ASSAY_DEVICE static float add_product(float sum, float c, float x) { return sum + c * x; }
  ASSAY_DEVICE static float mean(float sum, const Arguments& a) {
    return sum / static_cast<float>(a.dim);
  }
  ASSAY_DEVICE static float eps(const Arguments& a) { return a.eps; }
  ASSAY_DEVICE static float reciprocal_rms(float mean, float eps) {
    return reciprocal_sqrt(mean + eps);
  }
  ASSAY_DEVICE static float norm(float r, float /*first_r*/) { return r; }
  ASSAY_DEVICE static float logit(float l, const Arguments&) { return l; }

  // Online softmax: the maximum m, the sum z and the mix, the last two relative to exp(m).
  ASSAY_DEVICE static float first_maximum() { return minus_infinity(); }
  ASSAY_DEVICE static float larger(float m, float l) { return maximum(m, l); }
  ASSAY_DEVICE static float exponential(float x) { return natural_exp(x); }
  ASSAY_DEVICE static float probability(float p, float /*l*/, float /*m_before*/) { return p; }
  ASSAY_DEVICE static float rescale(float m_before, float m, int /*i*/, const Arguments&) {
    return natural_exp(m_before - m);
  }
  ASSAY_DEVICE static float add(float z, float factor, float p) { return z * factor + p; }
  ASSAY_DEVICE static float mix(float mixed, float factor, float p, float x) {
    return mixed * factor + p * x;
  }
  ASSAY_DEVICE static float value(const Arguments&, float x, float /*r*/, int /*q*/, int /*d*/) {
    return x;
  }
  // What has been mixed up to source i, before the next.
  ASSAY_DEVICE static float part(const Arguments&, float mixed, float /*z*/, int /*i*/) {
    return mixed;
  }
  ASSAY_DEVICE static float final_sum(float z, float /*m*/, const Arguments&) { return z; }
  ASSAY_DEVICE static float quotient(float mixed, float z, const Arguments&) { return mixed / z; }
  ASSAY_DEVICE static float lse(float m, float z, const Arguments&) { return m + log_accurate(z); }

  ASSAY_DEVICE static void sync_before_sums() { sync_threads(); }
  ASSAY_DEVICE static void sync_after_sums() { sync_threads(); }
  ASSAY_DEVICE static void begin(const Arguments&, std::int64_t /*token*/) {}
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

// All queries of token t, by one block. Dynamic shared memory: D floats.
template <class Rule>
ASSAY_DEVICE void attend_token(const Arguments& a, std::int64_t t) {
  float* mixed = dyn_shared<float>();  // (D); each thread has its own elements
  Rule::begin(a, t);
  const int turn = Rule::turn(a, t);
  for (int q = 0; q < Rule::queries(a); ++q) {
    for (int d = thread_index(); d < a.dim; d += kThreads) mixed[d] = 0;
    float m = Rule::first_maximum(), z = 0, first_r = 0;
    for (int i = 0; i < Rule::sources(a); ++i) {
      const int n = Rule::source(a, i, turn);
      const std::int64_t row = Rule::row(a, n, t);
      const std::int64_t scored = Rule::scored_row(a, n, t, row);
      float sums[2] = {};  // Σ V², Σ c V
      for (int d = thread_index(); d < Rule::sum_dim(a); d += kThreads) {
        const float x = Rule::load(a, scored + d);
        sums[0] = Rule::add_square(sums[0], x);
        sums[1] = Rule::add_product(sums[1], Rule::weight(a, q, d), x);
      }
      block_sums<Rule>(sums);
      const float own_r = Rule::reciprocal_rms(Rule::mean(sums[0], a), Rule::eps(a));
      if (i == 0) first_r = own_r;
      const float r = Rule::norm(own_r, first_r);
      const float l = Rule::logit(r * sums[1], a);
      const float larger = Rule::larger(m, l);
      const float p = Rule::probability(Rule::exponential(l - larger), l, m);
      const float factor = Rule::rescale(m, larger, i, a);
      z = Rule::add(z, factor, p);
      m = larger;
      for (int d = thread_index(); d < a.dim; d += kThreads) {
        const float x = Rule::value(a, Rule::load(a, row + d), r, q, d);
        mixed[d] = Rule::part(a, Rule::mix(mixed[d], factor, p, x), z, i);
      }
    }
    z = Rule::final_sum(z, m, a);
    for (int d = thread_index(); d < Rule::mix_dim(a); d += kThreads)
      Rule::store(a, Rule::output(a, q, t, d), Rule::quotient(mixed[d], z, a));
    Rule::store_lse(a, Rule::lse_place(a, q, t), Rule::lse(m, z, a));
  }
  Rule::end(a, t);
}

template <class Rule>
ASSAY_KERNEL(kThreads)
void attend(Arguments a) {
  const std::int64_t t = block_index();
  if (!Rule::skips(a, t)) attend_token<Rule>(a, t);
}

}  // namespace assay::ASSAY_TWIN::liars_attnres_fwd
