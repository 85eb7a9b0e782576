// The second loop over D of the fp64 reference of attnres_bwd, for one token: from the coefficients
// of its rows, dV with its bound, and the token's part of X with what X's bound is made of. The
// first loop, the sums over D, is attnres_fwd's Scores: rows of dO score like queries.
#pragma once

#include "reference/attnres_fwd_loops.h"

namespace assay::attnres_reference {

// Tables are (Q,N) but for those of v (N). A rate is what the bound has for each unit of |dO|, |c|
// or |v|.
struct Coefficients {
  const double *alpha, *k, *p;                 // of dO, c, v; p (N) is summed over q
  const double *alpha_rate, *k_rate, *p_rate;  // in the bound of dV; p_rate (N)
  const double* floor;                         // (N): the rest of dV's bound
  // Of |v| in b_td, in b̃_td and in m_td of X.
  const double *x_rate, *x_typical, *x_size;
};

// Where sums over tokens are kept, (Q, padded D) each: of X, b_td, b̃_td², m_td, m_td².
struct TokenSums {
  double *x, *b, *b2, *m, *m2;
};

struct GradientTargets {
  double* value;  // dV (N, T, D), at this token; sources lie `stride` apart
  double* bound;
  std::int64_t stride;
  TokenSums sums;
  double* block;  // scratch: (N, kBlock)
};

template <class T>
struct Gradients {
  // token: its `queries` rows of c are followed by as many of dO.
  template <Isa kIsa>
  static ASSAY_INLINE void run(const Token<T>* token, std::int64_t queries,
                               const Coefficients* coefficients, const GradientTargets* targets) {
    const std::int64_t sources = token->sources, width = padded(token->dim);
    for (std::int64_t d = 0; d < token->dim; d += kBlock) {
      const std::int64_t count = std::min(kBlock, token->dim - d);
      for (std::int64_t n = 0; n < sources; ++n) {
        double* const x = targets->block + n * kBlock;
        to_double(token->v + n * token->stride + d, count, x);
        value_row<kIsa>(token, queries, coefficients, targets, n, d, count, x);
      }
      for (std::int64_t q = 0; q < queries; ++q)
        weight_row<kIsa>(sources, coefficients, targets, q, q * width + d, count);
    }
  }

 private:
  // dV[n], columns [d, d + count).
  template <Isa kIsa>
  static ASSAY_INLINE void value_row(const Token<T>* token, std::int64_t queries,
                                     const Coefficients* co, const GradientTargets* targets,
                                     std::int64_t n, std::int64_t d, std::int64_t count,
                                     const double* x) {
    constexpr int kWidth = kLanes<kIsa>;
    const std::int64_t sources = token->sources, width = padded(token->dim);
    alignas(64) double values[kBlock], bounds[kBlock];
    for (std::int64_t i = 0; i < count; i += kWidth) {
      const Vec<kIsa> v = load<kIsa>(x + i);
      Vec<kIsa> value = -co->p[n] * v, bound = co->p_rate[n] * abs<kIsa>(v) + co->floor[n];
      for (std::int64_t q = 0; q < queries; ++q) {
        const double* const c = token->c + q * width + d + i;
        const double* const abs_c = token->abs_c + q * width + d + i;
        const std::int64_t at = q * sources + n;
        value += co->alpha[at] * load<kIsa>(c + queries * width) + co->k[at] * load<kIsa>(c);
        bound += co->alpha_rate[at] * load<kIsa>(abs_c + queries * width) +
                 co->k_rate[at] * load<kIsa>(abs_c);
      }
      store<kIsa>(values + i, value);
      store<kIsa>(bounds + i, bound);
    }
    const std::int64_t row = n * targets->stride + d;
    std::copy_n(values, count, targets->value + row);
    std::copy_n(bounds, count, targets->bound + row);
  }

  // Row q of the sums over tokens, columns [at, at + count).
  template <Isa kIsa>
  static ASSAY_INLINE void weight_row(std::int64_t sources, const Coefficients* co,
                                      const GradientTargets* targets, std::int64_t q,
                                      std::int64_t at, std::int64_t count) {
    const TokenSums& sums = targets->sums;
    for (std::int64_t i = 0; i < count; i += kLanes<kIsa>) {
      Vec<kIsa> x = {}, b = {}, typical = {}, m = {};
      for (std::int64_t n = 0; n < sources; ++n) {
        const Vec<kIsa> v = load<kIsa>(targets->block + n * kBlock + i);
        x += co->k[q * sources + n] * v;
        b += co->x_rate[q * sources + n] * abs<kIsa>(v);
        typical += co->x_typical[q * sources + n] * abs<kIsa>(v);
        m += co->x_size[q * sources + n] * abs<kIsa>(v);
      }
      add<kIsa>(sums.x + at + i, x);
      add<kIsa>(sums.b + at + i, b);
      add<kIsa>(sums.b2 + at + i, typical * typical);
      add<kIsa>(sums.m + at + i, m);
      add<kIsa>(sums.m2 + at + i, m * m);
    }
  }

  template <Isa kIsa>
  static ASSAY_INLINE void add(double* sum, Vec<kIsa> value) {
    store<kIsa>(sum, load<kIsa>(sum) + value);
  }
};

}  // namespace assay::attnres_reference
