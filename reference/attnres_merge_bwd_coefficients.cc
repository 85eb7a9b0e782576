#include "reference/attnres_merge_bwd_coefficients.h"

#include <algorithm>
#include <cmath>

#include "reference/attnres_merge_odds.h"

namespace assay::attnres_merge_bwd_contract {

using attnres_gradients::Roundings;
using attnres_merge_numerics::Odds;
using attnres_numerics::kUnderflow;
using attnres_numerics::Row;

namespace {

Row row(double x) { return Row::Constant(1, x); }

}  // namespace

Coefficients coefficients(const Numerics& declared, double eps, double dim, const TokenProducts& of,
                          Roundings roundings) {
  Numerics numerics = declared;
  numerics.summation_height =
      attnres_gradients::counted(declared.summation_height, declared, roundings);
  const double u = unit_roundoff(numerics.accumulate), g = u * numerics.summation_height,
               chi = attnres_gradients::chain(1, numerics);
  const auto rounded = [&](double size, double error) {
    return attnres_gradients::coefficient_error(numerics, row(size), row(error))(0);
  };

  // Weights.
  const Odds odds =
      attnres_merge_numerics::odds(numerics, eps, dim, {of.square, of.score, of.abs_score}, of.l1);
  const double beta = odds.beta, rest = odds.rest, l = odds.logit;
  const double omega = 12 * u + 2 * u * (std::abs(l) + std::abs(of.l1)),
               beta_error = odds.kappa + omega * beta, rest_error = odds.kappa + omega;

  // dl and dL1.
  const double z = of.gain - of.other_gain, size = of.abs_gain + of.abs_of_other, y = rest * z,
               sums = std::abs(of.gain) + std::abs(of.other_gain),
               z_error = (g + 3 * u) * size + 2 * dim * kUnderflow,
               y_error = rest_error * (std::abs(z) + z_error) + rest * z_error +
                         (2 * omega + 8 * u) * (sums + z_error);
  const double s = beta * y, d_l = s + beta * of.d_lse, sized_lse = std::abs(of.d_lse);
  const double s_error =
      (beta + beta_error) * y_error + beta_error * std::abs(y) + kUnderflow * (1 + size);
  const double d_l_error = s_error + beta_error * sized_lse +
                           4 * u * (beta + beta_error) * (std::abs(y) + y_error + sized_lse) +
                           kUnderflow * (1 + sized_lse);

  const attnres_gradients::KeyCoefficients keys = attnres_gradients::key_coefficients(
      numerics, chi, dim, row(odds.r), row(l), row(odds.logit_error), row(d_l), row(d_l_error));
  const double beta_rounded = rounded(beta, beta_error + kUnderflow),
               rest_rounded = rounded(rest, rest_error);
  Coefficients found = {};
  found.beta = beta;
  found.rest = rest;
  found.k = keys.k(0);
  found.p = keys.p(0);
  found.beta_rate = beta_rounded + chi * (beta + beta_rounded);
  found.rest_rate = rest_rounded + 3 * u * (1 + rest_rounded) * (rest + rest_rounded);
  found.k_rate = keys.k_rate(0);
  found.p_rate = keys.p_rate(0);
  found.floor = 4 * kUnderflow + keys.floor(0);
  found.x_rate = keys.k_error(0);
  found.x_size = std::abs(found.k) + found.x_rate;
  found.d_l1 = rest * of.d_lse - s;
  found.d_l1_bound = d_l_error + rest_error * sized_lse + 2 * u * (std::abs(s) + sized_lse);
  return found;
}

}  // namespace assay::attnres_merge_bwd_contract
