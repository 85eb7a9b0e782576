// The two weights of a merge and how far from exact they may be: terms that the bounds of
// attnres_merge_fwd and attnres_merge_bwd share. reference/attnres_merge_fwd.h derives them.
#pragma once

#include <algorithm>
#include <cmath>

#include "reference/attnres_numerics.h"

namespace assay::attnres_merge_numerics {

// Of a row of P, over D: Σ P², Σ c P, Σ |c P|.
struct RowSums {
  double square, dot, abs_dot;
};

struct Odds {
  double r, logit, logit_error;
  double x;           // l - L1
  double error;       // E: the odds e^x are computed within a factor e^±E
  double beta, rest;  // β, 1 - β
  double kappa;       // what the error of the odds does to either
};

inline Odds odds(const Numerics& numerics, double eps, double dim, const RowSums& of, double l1) {
  const double u = unit_roundoff(numerics.accumulate), g = u * numerics.summation_height,
               uc = attnres_numerics::rounding(numerics.weights);
  Odds o = {};
  o.r = 1 / std::sqrt(of.square / dim + eps);
  const double l = o.logit = o.r * of.dot, x = o.x = l - l1;
  o.logit_error =
      (g + uc + g * uc) * o.r * of.abs_dot +
      attnres_numerics::half_subnormal(numerics.weights) * o.r * std::sqrt(dim * of.square) +
      std::abs(l) * (g / 2 + 4 * u);
  // Beyond e^700 nothing is bounded any more, and infinities times weights of 0 would be NaN.
  o.error =
      std::min(700.0, o.logit_error + 2 * u * (std::abs(l) + std::abs(l1) + std::abs(x)) + 8 * u);
  // Each of the two weights without cancellation; a NaN stays one.
  const double ratio = std::exp(-std::abs(x)), larger = 1 / (1 + ratio), smaller = ratio * larger;
  o.beta = x >= 0 ? larger : x < 0 ? smaller : x;
  o.rest = x >= 0 ? smaller : larger;
  const double up_by = std::expm1(o.error), down_by = -std::expm1(-o.error);
  o.kappa =
      o.beta * o.rest *
      std::max(up_by / (1 + o.beta * up_by), down_by / (o.rest + o.beta * std::exp(-o.error)));
  return o;
}

}  // namespace assay::attnres_merge_numerics
