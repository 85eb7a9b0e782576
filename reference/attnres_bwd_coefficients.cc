#include "reference/attnres_bwd_coefficients.h"

#include <algorithm>
#include <cmath>

namespace assay::attnres_bwd_contract {

using attnres_gradients::KeyCoefficients;
using attnres_numerics::kUnderflow;

Coefficients::Coefficients(const Size& size)
    : alpha(size.queries, size.sources),
      k(alpha),
      alpha_rate(alpha),
      k_rate(alpha),
      x_rate(alpha),
      x_size(alpha),
      p(size.sources),
      p_rate(size.sources),
      floor(size.sources),
      size_(size) {}

void Coefficients::find(const Numerics& declared, double eps, const TokenProducts& products,
                        Roundings roundings) {
  const auto count = [&](double n) { return attnres_gradients::counted(n, declared, roundings); };
  Numerics numerics = declared;
  numerics.summation_height = count(declared.summation_height);
  const double u = unit_roundoff(numerics.accumulate), g = u * numerics.summation_height,
               chi = attnres_gradients::chain(size_.queries, numerics);
  const auto sources = static_cast<double>(size_.sources), dim = static_cast<double>(size_.dim);
  const double omega = count(sources + 8 + numerics.rescales + 4 * std::log(sources)) * u;
  const double mix =
      count((numerics.truncates_mix ? 3 : 2) * sources + 8 + 2 * numerics.rescales) * u;
  const Row r = (products.square / dim + eps).sqrt().inverse();
  p.setZero();
  p_rate.setZero();
  floor.setConstant(4 * static_cast<double>(size_.queries) * kUnderflow);
  for (std::int64_t q = 0; q < size_.queries; ++q) {
    // Weights.
    const Row l = r * products.dot.row(q);
    const double m = l.maxCoeff();
    const Row l_error = attnres_numerics::logit_error(numerics, dim, r, products.square,
                                                      products.abs_dot.row(q), l);
    const Row exp_error = attnres_numerics::exponential_error(numerics, l, m);
    // Beyond e^100 nothing is bounded any more, and infinities times weights of 0 would be NaN.
    const Row e = (l_error + exp_error).cwiseMin(100);
    // Eigen's exp does not go below e^-708; what is smaller is 0 here.
    const Row weight = (l - m < -700).select(0.0, (l - m).exp());
    const Row share = weight / weight.sum();
    const Row f = (e + (std::log1p((share * e.expm1()).sum()) - std::log1p(-omega))).expm1();
    const double theta = omega + 2 * (share * exp_error).sum();

    // ds. a - δ as Σ_m α_m (a - a_m), which is exactly 0 where it should be.
    const Row a = products.dot.row(size_.queries + q),
              size_a = products.abs_dot.row(size_.queries + q);
    Row centred(size_.sources);
    for (std::int64_t n = 0; n < size_.sources; ++n) centred(n) = (share * (a(n) - a)).sum();
    const double delta = (share * a).sum();
    const double d_lse = products.d_lse(q);
    const Row a_error = g * size_a + dim * kUnderflow;
    const double delta_error = (share * f * centred.abs()).sum() + theta * std::abs(delta) +
                               (g + mix) * (share * (1 + f) * size_a).sum() + dim * kUnderflow;
    const Row z = centred + d_lse;
    const Row z_error = (1 + 4 * u) * (a_error + delta_error) +
                        4 * u * (a.abs() + std::abs(delta) + std::abs(d_lse));
    const Row ds = share * z;
    const Row ds_error = share * ((1 + f) * (1 + 2 * u) * (z.abs() + z_error) - z.abs()) +
                         kUnderflow * (1 + z.abs() + z_error);

    // Coefficients of dO, c and v.
    const Row alpha_error =
        attnres_gradients::coefficient_error(numerics, share, share * f + kUnderflow);
    const KeyCoefficients keys =
        attnres_gradients::key_coefficients(numerics, chi, dim, r, l, l_error, ds, ds_error);
    alpha.row(q) = share;
    alpha_rate.row(q) = alpha_error + chi * (share + alpha_error);
    k.row(q) = keys.k;
    k_rate.row(q) = keys.k_rate;
    p += keys.p;
    p_rate += keys.p_rate;
    floor += keys.floor;
    x_rate.row(q) = keys.k_error;
    x_size.row(q) = keys.k.abs() + keys.k_error;
  }
}

}  // namespace assay::attnres_bwd_contract
