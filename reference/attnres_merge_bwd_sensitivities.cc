// What the outputs of attnres_merge_bwd do when one factor inside it is a little off: for the test
// that finds systematic errors which hide inside the bounds of single elements. The factors are
// those of AttnResMergeFactors and one of the whole contribution; the derivatives come from the
// definition itself, in dual numbers.
//
// Allowances, with u, h, H as declared, g = u·h, u_c and u_p the units of rounded weights and
// probabilities. Logit, eps and L1: as in attnres_merge_fwd_sensitivities.cc. Gain, ⟨dH, P - O1⟩:
// two sums over D that cut off and weights that do not add up to 1, 2g + 40u. Projection: l and r²,
// 2g + 24u, and u_c. The whole: weights, 12u, and a few products and sums, of dP 24u + u_c, of dO1
// 16u, of dL1 24u, of dw and dg H u and what partials are rounded to; and u_p, since coefficients
// that are rounded may all be equal. What attnres_bwd_sensitivities.cc says of factors that look
// alike, and of dw and dg, holds here too.
#include "reference/attnres_bias.h"
#include "reference/attnres_merge_bwd.h"
#include "reference/attnres_merge_bwd_coefficients.h"
#include "reference/attnres_merge_bwd_contract.h"
#include "reference/dual.h"
#include "reference/families.h"

namespace assay::attnres_merge_bwd_contract {
namespace {

using attnres_bias::Values;
using attnres_bias::weighted;

enum Factor : std::uint8_t { kLogit, kEps, kOther, kGain, kProjection, kWhole, kFactors };
using Scalar = Dual<kWhole>;  // by the factors inside
using Row = Eigen::ArrayXd;

// The inputs of a problem in fp64.
struct Loaded {
  Loaded(const Problem& problem, const Tensors& inputs)
      : size(problem), eps(problem.real("eps")), c(size.dim) {
    const auto ones = [](std::int64_t count, float value) {
      return std::vector<float>(static_cast<std::size_t>(count), value);
    };
    const TensorView* const g = inputs.find("g");
    const TensorView* const d_lse_tensor = inputs.find("dLSE");
    weights = load_floats(inputs["w"]);
    gains = g ? load_floats(*g) : ones(size.dim, 1);
    d_lse = d_lse_tensor ? load_floats(*d_lse_tensor) : ones(size.tokens, 0);
    l1 = load_floats(inputs["L1"]);
    p = load_floats(inputs["P"]);
    o1 = load_floats(inputs["O1"]);
    d_h = load_floats(inputs["dH"]);
    const std::vector<double> folded = folded_weights(inputs);
    for (std::int64_t d = 0; d < size.dim; ++d) c(d) = folded[static_cast<std::size_t>(d)];
  }

  Row row(const std::vector<float>& from, std::int64_t token) const {
    Row result(size.dim);
    for (std::int64_t d = 0; d < size.dim; ++d)
      result(d) = static_cast<double>(from[static_cast<std::size_t>(token * size.dim + d)]);
    return result;
  }
  double number(const std::vector<float>& from, std::int64_t token) const {
    return static_cast<double>(from[static_cast<std::size_t>(token)]);
  }

  Size size;
  double eps;
  Row c;
  std::vector<float> weights, gains, d_lse, l1, p, o1, d_h;
};

AttnResMergeGradients<Scalar> differentiate(const Loaded& in, std::int64_t t) {
  using Array = Eigen::Array<Scalar, Eigen::Dynamic, 1>;
  AttnResMergeFactors<Scalar> factors;
  factors.logit = Scalar::variable(1, kLogit);
  factors.eps = Scalar::variable(1, kEps);
  factors.other = Scalar::variable(1, kOther);
  factors.gain = Scalar::variable(1, kGain);
  factors.projection = Scalar::variable(1, kProjection);
  const Array p = in.row(in.p, t).cast<Scalar>(), c = in.c.cast<Scalar>(),
              o1 = in.row(in.o1, t).cast<Scalar>(), d_h = in.row(in.d_h, t).cast<Scalar>();
  return attnres_merge_bwd_token<Scalar>(p, c, o1, in.number(in.l1, t), d_h, in.number(in.d_lse, t),
                                         in.eps, factors);
}

double partial(const Scalar& x, std::size_t factor) {
  return factor == kWhole ? x.value : x.partials[factor];
}

// Of each factor: what independent errors of the tokens may do to its estimate from dw.
std::vector<double> scattered(const Loaded& in, const Numerics& numerics,
                              const std::vector<Values>& x) {
  attnres_bias::Scatter scatter(kFactors);
  for (std::int64_t t = 0; t < in.size.tokens; ++t) {
    const Row p = in.row(in.p, t), o1 = in.row(in.o1, t), d_h = in.row(in.d_h, t);
    const TokenProducts products = {
        p.square().sum(),       (in.c * p).sum(),      (in.c * p).abs().sum(),
        (d_h * p).sum(),        (d_h * p).abs().sum(), (d_h * o1).sum(),
        (d_h * o1).abs().sum(), in.number(in.l1, t),   in.number(in.d_lse, t)};
    const double rate = coefficients(numerics, in.eps, static_cast<double>(in.size.dim), products,
                                     attnres_gradients::Roundings::typical)
                            .x_rate;
    for (std::size_t factor = 0; factor < kFactors; ++factor) {
      const Eigen::Map<const Row> s(x[factor].data(), in.size.dim);
      scatter.add(factor, rate * std::abs((s * p).sum()));
    }
  }
  return scatter.of(x);
}

}  // namespace

std::vector<Sensitivity> sensitivities(const Problem& problem, const Tensors& inputs,
                                       const Numerics& numerics) {
  const Loaded in(problem, inputs);
  const auto dim = static_cast<std::size_t>(in.size.dim),
             tokens = static_cast<std::size_t>(in.size.tokens);
  std::vector<Values> d_p(kFactors, Values(tokens * dim)),
      d_o1 = d_p, d_l1(kFactors, Values(tokens)), x(kFactors, Values(dim));
  for (std::size_t t = 0; t < tokens; ++t) {
    const auto token = differentiate(in, static_cast<std::int64_t>(t));
    for (std::size_t factor = 0; factor < kFactors; ++factor) {
      for (std::size_t d = 0; d < dim; ++d) {
        const auto i = static_cast<Eigen::Index>(d);
        d_p[factor][t * dim + d] = partial(token.p(i), factor);
        d_o1[factor][t * dim + d] = partial(token.o1(i), factor);
        x[factor][d] += partial(token.x(i), factor);
      }
      d_l1[factor][t] = partial(token.l1, factor);
    }
  }

  const double u = unit_roundoff(numerics.accumulate), g = u * numerics.summation_height,
               uc = attnres_numerics::rounding(numerics.weights),
               up = attnres_numerics::rounding(numerics.probabilities),
               upart = attnres_numerics::rounding(numerics.partials),
               cut = numerics.truncates_mix ? 2 : 1;
  const std::vector<const char*> names = {"scale of the logit", "eps",  "L1", "gain",
                                          "projection term",    "scale"};
  const auto allowances = [&](double whole) -> std::vector<double> {
    return {1.5 * g + 8 * u + uc,     g + 4 * u, 4 * u, 2 * g + 40 * u,
            2 * g + 24 * u + uc + up, whole + up};
  };
  std::vector<Sensitivity> all;
  const auto add = [&](const char* output, const std::vector<Values>& values, double whole,
                       const std::vector<double>& scatter) {
    attnres_bias::add_sensitivities(all, output, names, values, allowances(whole), scatter);
  };
  add("dP", d_p, 24 * u + uc, {});
  add("dO1", d_o1, 16 * u, {});
  add("dL1", d_l1, 24 * u, {});
  const std::vector<double> scatter = scattered(in, numerics, x);
  const double whole = cut * numerics.batch_height * u + 24 * u + upart;
  add("dw", weighted(x, in.gains), whole, scatter);
  if (inputs.find("g")) add("dg", weighted(x, in.weights), whole, scatter);
  return all;
}

}  // namespace assay::attnres_merge_bwd_contract
