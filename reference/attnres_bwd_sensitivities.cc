// What dV, dw and dg do when one factor inside attnres_bwd is a little off: for the test that finds
// systematic errors which hide inside the bounds of single elements. The factors are those of
// AttnResFactors and one of the whole contribution; the derivatives come from the definition
// itself, in dual numbers.
//
// Allowances, with u, h, H, R as declared, g = u·h, u_c and u_p the units of rounded weights and
// probabilities. Logits and eps: as in attnres_fwd_sensitivities.cc. δ: weights that do not add up
// to 1 and the mix, (3N + 16 + 3R) u (6N where it truncates), and sums over D that cut off, g.
// Projection: l and r², 2g + 24u, and u_c. The whole: a, ds and the chain of the sum, g + (3Q + 2N
// + 16 + 2R) u (twice that where it truncates), for dw and dg H u instead of 3Q u; and u_p, since
// coefficients that are rounded may all be equal. An error of one factor also looks like one of
// another, as far as their sensitivities are alike: each allowance grows by those of the others
// times |Σ s s'| / Σ s².
//
// To dw and dg the rounding errors of all tokens come together in each column, so that the scatter
// from column to column, which the bias test goes by, does not show how far they reach. An error η
// of k_qnt moves the estimate by η h, h = Σ_d V_ntd s_qd / Σ s² (s of X; where g scales a column it
// scales its error, too). With |η| mostly below a third of Δ̃₂ (attnres_bwd.h), six deviations of
// that are at most 6 √Σ_t (Σ_qn Δ₂ |h|)²; more than Σ_tqn Δ₂ |h| it can't be.
#include <algorithm>
#include <cmath>

#include "reference/attnres_bias.h"
#include "reference/attnres_bwd.h"
#include "reference/attnres_bwd_coefficients.h"
#include "reference/attnres_bwd_contract.h"
#include "reference/dual.h"
#include "reference/families.h"

namespace assay::attnres_bwd_contract {
namespace {

using attnres_bias::Values;
using attnres_bias::weighted;

enum Factor : std::uint8_t { kLogits, kEps, kDelta, kProjection, kWhole, kFactors };
using Scalar = Dual<kWhole>;  // by the factors inside
using DualMatrix = RowMatrix<Scalar>;

// The inputs of a problem in fp64.
class Loaded {
 public:
  Loaded(const Problem& problem, const Tensors& inputs)
      : size(problem),
        eps(problem.real("eps")),
        weights(load_floats(inputs["w"])),
        gains(inputs.find("g") ? load_floats(*inputs.find("g"))
                               : std::vector<float>(weights.size(), 1.0f)),
        c(size.queries, size.dim),
        v_(load_floats(inputs["V"])),
        d_output_(load_floats(inputs["dO"])),
        d_lse_(inputs.find("dLSE")
                   ? load_floats(*inputs.find("dLSE"))
                   : std::vector<float>(static_cast<std::size_t>(size.queries * size.tokens))) {
    for (std::int64_t i = 0; i < c.size(); ++i) {
      const auto at = static_cast<std::size_t>(i);
      c.data()[i] = static_cast<double>(weights[at]) * static_cast<double>(gains[at]);
    }
  }

  RowMatrix<double> v(std::int64_t token) const { return rows(v_, size.sources, token, size.dim); }
  RowMatrix<double> d_output(std::int64_t token) const {
    return rows(d_output_, size.queries, token, size.dim);
  }
  Row d_lse(std::int64_t token) const {
    return rows(d_lse_, size.queries, token, 1).transpose().array();
  }

  Size size;
  double eps;
  std::vector<float> weights, gains;  // (Q, D)
  RowMatrix<double> c;

 private:
  // Of a token, from (count, T, width).
  RowMatrix<double> rows(const std::vector<float>& from, std::int64_t count, std::int64_t token,
                         std::int64_t width) const {
    RowMatrix<double> result(count, width);
    for (std::int64_t i = 0; i < count; ++i)
      for (std::int64_t d = 0; d < width; ++d)
        result(i, d) = from[static_cast<std::size_t>((i * size.tokens + token) * width + d)];
    return result;
  }

  std::vector<float> v_, d_output_, d_lse_;
};

AttnResGradients<Scalar> differentiate(const Loaded& in, std::int64_t token) {
  AttnResFactors<Scalar> factors;
  factors.logits = Scalar::variable(1, kLogits);
  factors.eps = Scalar::variable(1, kEps);
  factors.delta = Scalar::variable(1, kDelta);
  factors.projection = Scalar::variable(1, kProjection);
  const Eigen::Array<Scalar, Eigen::Dynamic, 1> d_lse = in.d_lse(token).transpose().cast<Scalar>();
  return attnres_bwd_token<Scalar>(in.v(token).cast<Scalar>(), in.c.cast<Scalar>(),
                                   in.d_output(token).cast<Scalar>(), d_lse, in.eps, factors);
}

double partial(const Scalar& x, int factor) {
  return factor == kWhole ? x.value : x.partials[static_cast<std::size_t>(factor)];
}

// For each factor, what independent errors of the tokens may do to its estimate from dw.
std::vector<double> scattered(const Loaded& in, const Numerics& numerics,
                              const std::vector<Values>& x) {
  attnres_bias::Scatter scatter(kFactors);
  Coefficients found(in.size);
  for (std::int64_t t = 0; t < in.size.tokens; ++t) {
    const RowMatrix<double> v = in.v(t);
    RowMatrix<double> rows(2 * in.size.queries, in.size.dim);
    rows << in.c, in.d_output(t);
    const Row square = v.rowwise().squaredNorm().transpose().array(), d_lse = in.d_lse(t);
    const Table dot = (rows * v.transpose()).array(),
                abs_dot = (rows.cwiseAbs() * v.cwiseAbs().transpose()).array();
    found.find(numerics, in.eps, {square, dot, abs_dot, d_lse}, Roundings::typical);
    for (std::size_t factor = 0; factor < kFactors; ++factor) {
      const Eigen::Map<const RowMatrix<double>> s(x[factor].data(), in.size.queries, in.size.dim);
      scatter.add(factor, (found.x_rate * (s * v.transpose()).array().abs()).sum());
    }
  }
  return scatter.of(x);
}

}  // namespace

std::vector<Sensitivity> sensitivities(const Problem& problem, const Tensors& inputs,
                                       const Numerics& numerics) {
  const Loaded in(problem, inputs);
  const Size& size = in.size;
  std::vector<Values> values(
      kFactors, Values(static_cast<std::size_t>(size.sources * size.tokens * size.dim)));
  std::vector<Values> x(kFactors, Values(static_cast<std::size_t>(size.queries * size.dim)));
  for (std::int64_t t = 0; t < size.tokens; ++t) {
    const auto token = differentiate(in, t);
    for (int factor = 0; factor < kFactors; ++factor) {
      Values& of_values = values[static_cast<std::size_t>(factor)];
      Values& of_x = x[static_cast<std::size_t>(factor)];
      for (std::int64_t n = 0; n < size.sources; ++n)
        for (std::int64_t d = 0; d < size.dim; ++d)
          of_values[static_cast<std::size_t>((n * size.tokens + t) * size.dim + d)] =
              partial(token.values(n, d), factor);
      for (std::int64_t i = 0; i < token.x.size(); ++i)
        of_x[static_cast<std::size_t>(i)] += partial(token.x.data()[i], factor);
    }
  }

  const double u = unit_roundoff(numerics.accumulate), g = u * numerics.summation_height,
               uc = attnres_numerics::rounding(numerics.weights),
               up = attnres_numerics::rounding(numerics.probabilities),
               upart = attnres_numerics::rounding(numerics.partials);
  const double sources = static_cast<double>(size.sources), rescales = numerics.rescales,
               queries = static_cast<double>(size.queries), cut = numerics.truncates_mix ? 2 : 1;
  const double logits = 1.5 * g + 8 * u + uc, eps = g + 4 * u,
               delta = g + (cut * 3 * sources + 16 + 3 * rescales) * u,
               projection = 2 * g + 24 * u + uc + up,
               rest = g + (cut * 2 * sources + 16 + 2 * rescales) * u + up;
  const std::vector<const char*> names = {"scale of the logits", "eps", "delta", "projection term",
                                          "scale"};
  const std::vector<double> of_values = {logits, eps, delta, projection,
                                         rest + cut * 3 * queries * u + uc};
  const std::vector<double> of_weights = {logits, eps, delta, projection,
                                          rest + cut * numerics.batch_height * u + upart};
  std::vector<Sensitivity> all;
  attnres_bias::add_sensitivities(all, "dV", names, values, of_values, {});
  const std::vector<double> scatter = scattered(in, numerics, x);
  attnres_bias::add_sensitivities(all, "dw", names, weighted(x, in.gains), of_weights, scatter);
  if (inputs.find("g"))
    attnres_bias::add_sensitivities(all, "dg", names, weighted(x, in.weights), of_weights, scatter);
  return all;
}

}  // namespace assay::attnres_bwd_contract
