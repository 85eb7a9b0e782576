#include "reference/attnres_gradients.h"

#include <algorithm>
#include <cmath>

namespace assay::attnres_gradients {

using attnres_numerics::half_subnormal;
using attnres_numerics::kUnderflow;
using attnres_numerics::rounding;

double counted(double roundings, const Numerics& numerics, Roundings which) {
  if (which == Roundings::worst || numerics.truncates_mix) return roundings;
  return std::min(roundings, 4 + std::sqrt(roundings));
}

double chain(std::int64_t queries, const Numerics& numerics) {
  const double n = ((numerics.truncates_mix ? 6 : 3) * static_cast<double>(queries) + 8) *
                   unit_roundoff(numerics.accumulate);
  return n / (1 - n);
}

Row coefficient_error(const Numerics& numerics, const Row& size, const Row& error) {
  return error + rounding(numerics.probabilities) * (size + error) +
         half_subnormal(numerics.probabilities);
}

KeyCoefficients key_coefficients(const Numerics& numerics, double chain, double dim, const Row& r,
                                 const Row& l, const Row& l_error, const Row& ds,
                                 const Row& ds_error) {
  const double u = unit_roundoff(numerics.accumulate),
               rho = u * numerics.summation_height / 2 + 4 * u, uc = rounding(numerics.weights),
               lost_c = half_subnormal(numerics.weights);
  KeyCoefficients of;
  of.k = ds * r;
  of.p = of.k * l * r / dim;
  of.k_error = coefficient_error(
      numerics, of.k.abs(),
      (ds.abs() + ds_error) * r * (1 + rho) * (1 + 2 * u) - of.k.abs() + kUnderflow * (1 + r));
  const Row p_error =
      coefficient_error(numerics, of.p.abs(),
                        ((ds.abs() + ds_error) * (l.abs() * (1 + 2 * u) + l_error) *
                             ((1 + rho) * (1 + rho) * (1 + 6 * u)) -
                         (ds * l).abs()) *
                                r.square() / dim +
                            kUnderflow * (1 + ds.abs()) * (1 + l.abs()) * (1 + r).square());
  const Row largest = of.k.abs() + of.k_error;
  of.k_rate = largest * (1 + 2 * u + uc) * (1 + chain) - of.k.abs();
  of.p_rate = (of.p.abs() + p_error) * (1 + chain) - of.p.abs();
  of.floor = largest * ((1 + chain) * lost_c);
  return of;
}

}  // namespace assay::attnres_gradients
