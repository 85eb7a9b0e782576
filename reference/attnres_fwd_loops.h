// The loops over D of the fp64 reference of attnres_fwd, for one token: Scores makes the sums that
// the logits need, Mix the outputs and their bounds. Written with vectors of the machine's width
// and run through run_simd. Rows are converted to fp64 once per block and serve all queries from
// the first-level cache.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "harness/core/convert.h"
#include "harness/core/simd.h"

namespace assay::attnres_reference {

// Buffers are padded with zeros to a multiple of this, so that the loops have no tails.
inline constexpr std::int64_t kPad = 16;
constexpr std::int64_t padded(std::int64_t n) { return (n + kPad - 1) / kPad * kPad; }

inline constexpr std::int64_t kBlock = 256;  // of D: 2 KiB of a row in fp64

// One token of V (N,T,D) in its storage type, and the queries. Tables (Q,N) have `sources` columns.
template <class T>
struct Token {
  const T* v;            // row 0; row n lies n · stride further
  std::int64_t stride;   // T · D
  std::int64_t sources;  // N
  std::int64_t queries;  // Q
  std::int64_t dim;      // D
  const double* c;       // (Q, padded(D))
  const double* abs_c;   // likewise
};

template <Isa kIsa>
inline constexpr int kLanes = simd_width(kIsa) / 2;

template <Isa kIsa>
using Vec = simd_vector<double, kLanes<kIsa>>;

template <Isa kIsa>
ASSAY_INLINE Vec<kIsa> load(const double* p) {
  Vec<kIsa> value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

template <Isa kIsa>
ASSAY_INLINE void store(double* p, Vec<kIsa> value) {
  std::memcpy(p, &value, sizeof value);
}

template <Isa kIsa>
ASSAY_INLINE Vec<kIsa> abs(Vec<kIsa> value) {
  using Bits = simd_vector<std::int64_t, kLanes<kIsa>>;
  return (Vec<kIsa>)((Bits)value & 0x7fffffffffffffff);
}

template <Isa kIsa>
ASSAY_INLINE double sum(Vec<kIsa> value) {
  double total = 0;
  for (int lane = 0; lane < kLanes<kIsa>; ++lane) total += value[lane];
  return total;
}

// out[0, padded(count)) = values, then zeros.
template <class T>
ASSAY_INLINE void to_double(const T* values, std::int64_t count, double* out) {
  for (std::int64_t i = 0; i < count; ++i) out[i] = widen(values[i]);
  for (std::int64_t i = count; i < padded(count); ++i) out[i] = 0;
}

// square (N) = Σ_d v², dot (Q,N) = Σ_d c v, abs_dot (Q,N) = Σ_d |c v|.
template <class T>
struct Scores {
  template <Isa kIsa>
  static ASSAY_INLINE void run(const Token<T>* token, double* square, double* dot,
                               double* abs_dot) {
    constexpr int kStep =
        2 * kLanes<kIsa>;  // two vectors in flight hide the latency of the additions
    const std::int64_t sources = token->sources;
    std::fill_n(square, sources, 0.0);
    std::fill_n(dot, token->queries * sources, 0.0);
    std::fill_n(abs_dot, token->queries * sources, 0.0);
    alignas(64) double x[kBlock];
    for (std::int64_t d = 0; d < token->dim; d += kBlock) {
      const std::int64_t count = std::min(kBlock, token->dim - d);
      for (std::int64_t n = 0; n < sources; ++n) {
        to_double(token->v + n * token->stride + d, count, x);
        Vec<kIsa> s0 = {}, s1 = {};
        for (std::int64_t i = 0; i < count; i += kStep) {
          const Vec<kIsa> x0 = load<kIsa>(x + i), x1 = load<kIsa>(x + i + kLanes<kIsa>);
          s0 += x0 * x0;
          s1 += x1 * x1;
        }
        square[n] += sum<kIsa>(s0 + s1);
        for (std::int64_t q = 0; q < token->queries; ++q) {
          const double* const c = token->c + q * padded(token->dim) + d;
          const double* const abs_c = token->abs_c + q * padded(token->dim) + d;
          Vec<kIsa> dot0 = {}, dot1 = {}, abs0 = {}, abs1 = {};
          for (std::int64_t i = 0; i < count; i += kStep) {
            const Vec<kIsa> x0 = load<kIsa>(x + i), x1 = load<kIsa>(x + i + kLanes<kIsa>);
            dot0 += load<kIsa>(c + i) * x0;
            dot1 += load<kIsa>(c + i + kLanes<kIsa>) * x1;
            abs0 += load<kIsa>(abs_c + i) * abs<kIsa>(x0);
            abs1 += load<kIsa>(abs_c + i + kLanes<kIsa>) * abs<kIsa>(x1);
          }
          dot[q * sources + n] += sum<kIsa>(dot0 + dot1);
          abs_dot[q * sources + n] += sum<kIsa>(abs0 + abs1);
        }
      }
    }
  }
};

// What the outputs of a token are made from: α and κ (Q,N), the latter the weight of |v - o| in the
// bound.
struct Mixture {
  const double* alpha;
  const double* kappa;
  double roundings;  // weight of Σ α|v|
  double underflow;  // η
  // What is rounded to 16 bits on the way; null: nothing is. ρ and τ (Q,N), Σ_n ρ (Q).
  const double* rho;
  const double* tau;
  const double* rho_total;
  double partial_floor;
  double* block;  // scratch: (N, kBlock)
  double* value;  // (Q, T, D), at this token; queries lie `stride` apart
  double* bound;  // likewise
  std::int64_t stride;
};

// o = Σ α v;  bound b = Σ κ|v - o| + roundings · Σ α|v| + underflow · (N + Σ|v|); with roundings to
// 16 bits also max(Σ ρ|v|, (Σ ρ|v - o| + b Σρ) / (1 - Σρ)) + Σ τ|v| + partial_floor.
template <class T>
struct Mix {
  template <Isa kIsa>
  static ASSAY_INLINE void run(const Token<T>* token, const Mixture* mixture) {
    constexpr int kWidth = kLanes<kIsa>;
    constexpr int kStep = 2 * kWidth;
    const std::int64_t sources = token->sources;
    const double* const block = mixture->block;
    alignas(64) double floor[kBlock];
    for (std::int64_t d = 0; d < token->dim; d += kBlock) {
      const std::int64_t count = std::min(kBlock, token->dim - d);
      for (std::int64_t n = 0; n < sources; ++n) {
        to_double(token->v + n * token->stride + d, count, mixture->block + n * kBlock);
      }
      for (std::int64_t i = 0; i < count; i += kWidth) {
        Vec<kIsa> magnitude = {};
        for (std::int64_t n = 0; n < sources; ++n)
          magnitude += abs<kIsa>(load<kIsa>(block + n * kBlock + i));
        store<kIsa>(floor + i, mixture->underflow * (static_cast<double>(sources) + magnitude));
      }
      for (std::int64_t q = 0; q < token->queries; ++q) {
        const double* const alpha = mixture->alpha + q * sources;
        const double* const kappa = mixture->kappa + q * sources;
        double* const value = mixture->value + q * mixture->stride + d;
        double* const bound = mixture->bound + q * mixture->stride + d;
        for (std::int64_t i = 0; i < count; i += kStep) {
          Vec<kIsa> o0 = {}, o1 = {}, w0 = {}, w1 = {}, b0 = {}, b1 = {};
          for (std::int64_t n = 0; n < sources; ++n) {
            const double* const x = block + n * kBlock + i;
            const Vec<kIsa> x0 = load<kIsa>(x), x1 = load<kIsa>(x + kWidth);
            o0 += alpha[n] * x0;
            o1 += alpha[n] * x1;
            w0 += alpha[n] * abs<kIsa>(x0);
            w1 += alpha[n] * abs<kIsa>(x1);
          }
          for (std::int64_t n = 0; n < sources; ++n) {
            const double* const x = block + n * kBlock + i;
            b0 += kappa[n] * abs<kIsa>(load<kIsa>(x) - o0);
            b1 += kappa[n] * abs<kIsa>(load<kIsa>(x + kWidth) - o1);
          }
          b0 += mixture->roundings * w0 + load<kIsa>(floor + i);
          b1 += mixture->roundings * w1 + load<kIsa>(floor + i + kWidth);
          if (mixture->rho != nullptr) {
            const double* const rho = mixture->rho + q * sources;
            const double* const tau = mixture->tau + q * sources;
            b0 += rounded<kIsa>(block + i, sources, rho, tau, o0, b0, mixture->rho_total[q]) +
                  mixture->partial_floor;
            b1 += rounded<kIsa>(block + i + kWidth, sources, rho, tau, o1, b1,
                                mixture->rho_total[q]) +
                  mixture->partial_floor;
          }
          if (i + kStep <= count) {
            store<kIsa>(value + i, o0);
            store<kIsa>(value + i + kWidth, o1);
            store<kIsa>(bound + i, b0);
            store<kIsa>(bound + i + kWidth, b1);
          } else {
            alignas(64) double last[2 * kStep];
            store<kIsa>(last, o0);
            store<kIsa>(last + kWidth, o1);
            store<kIsa>(last + kStep, b0);
            store<kIsa>(last + kStep + kWidth, b1);
            std::copy_n(last, count - i, value + i);
            std::copy_n(last + kStep, count - i, bound + i);
          }
        }
      }
    }
  }

 private:
  // What rounding to 16 bits adds to the bound, for one vector of columns.
  template <Isa kIsa>
  static ASSAY_INLINE Vec<kIsa> rounded(const double* x, std::int64_t sources, const double* rho,
                                        const double* tau, Vec<kIsa> o, Vec<kIsa> b,
                                        double rho_total) {
    Vec<kIsa> plain = {}, centred = {}, parts = {};
    for (std::int64_t n = 0; n < sources; ++n) {
      const Vec<kIsa> v = load<kIsa>(x + n * kBlock);
      plain += rho[n] * abs<kIsa>(v);
      centred += rho[n] * abs<kIsa>(v - o);
      parts += tau[n] * abs<kIsa>(v);
    }
    centred = (centred + rho_total * b) / (1 - rho_total);
    return parts + (plain > centred ? plain : centred);
  }
};

}  // namespace assay::attnres_reference
