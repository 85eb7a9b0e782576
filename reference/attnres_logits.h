// How far from exact a logit may be, and the weight that it becomes: terms that the bounds of
// attnres_fwd and attnres_bwd share. reference/attnres_fwd.h derives them.
#pragma once

#include <Eigen/Core>

#include "harness/core/op.h"
#include "reference/attnres_numerics.h"

namespace assay::attnres_numerics {

using Row = Eigen::Array<double, 1, Eigen::Dynamic>;  // one value a source

// Of l itself: the score's sum, c, and r. square = Σ_d v², abs_dot = Σ_d |c v|.
inline Row logit_error(const Numerics& numerics, double dim, const Row& r, const Row& square,
                       const Row& abs_dot, const Row& l) {
  const double u = unit_roundoff(numerics.accumulate), g = u * numerics.summation_height,
               uc = rounding(numerics.weights), lost = half_subnormal(numerics.weights);
  return (g + uc + g * uc) * r * abs_dot + lost * r * (dim * square).sqrt() +
         (g / 2 + 4 * u) * l.abs();
}

// Of the logarithm of exp(l - m), where l and m are exact: scaling, subtraction, exp, rescales.
inline Row exponential_error(const Numerics& numerics, const Row& l, double m) {
  const double u = unit_roundoff(numerics.accumulate);
  return 2 * u * (l.abs() + std::abs(m) + (l - m).abs()) + (8 + 4 * numerics.rescales) * u;
}

}  // namespace assay::attnres_numerics
