// What H and LSE do when one factor inside attnres_merge_fwd is a little off: for the test that
// finds systematic errors which hide inside the bounds of single elements.
//
//   scale of the logits, l (1 + e):  ∂H = β(1-β) l (P - O1),      ∂LSE = β l
//   eps (1 + e):                     ∂l = -r² eps l / 2, and so   ∂H = β(1-β) ∂l (P - O1), ∂LSE = β
//   ∂l L1 (1 + e):                      ∂H = -β(1-β) L1 (P - O1),    ∂LSE = (1-β) L1 weight of P, β
//   (1 + e):          ∂H = β (P - O1) normaliser (1 + e):              ∂H = H, ∂LSE = 1
//
// Allowances, as for attnres_fwd: the scale 1.5g + 8u and what is declared of c, eps g + 4u, L1 4u
// (log₂e and back); β two chains of a sum, a division of 2 ulps, exp's 2 ulps and a product, and
// what is declared of probabilities; the normaliser 8u; LSE's, a sum, exp, and the logarithm's.
#include <cmath>

#include "reference/attnres_merge_fwd.h"
#include "reference/attnres_merge_fwd_contract.h"
#include "reference/attnres_numerics.h"
#include "reference/families.h"

namespace assay::attnres_merge_contract {

std::vector<Sensitivity> sensitivities(const Problem& problem, const Tensors& inputs,
                                       const Numerics& numerics) {
  const Size size(problem);
  const double eps = problem.real("eps"), u = unit_roundoff(numerics.accumulate),
               g = u * numerics.summation_height,
               probabilities = attnres_numerics::rounding(numerics.probabilities),
               scale = 1.5 * g + 8 * u + attnres_numerics::rounding(numerics.weights);
  const auto elements = static_cast<std::size_t>(size.tokens * size.dim),
             tokens = static_cast<std::size_t>(size.tokens);
  std::vector<Sensitivity> all = {
      {"scale of the logits", "H", scale, std::vector<double>(elements)},
      {"eps", "H", g + 4 * u, std::vector<double>(elements)},
      {"L1", "H", 4 * u, std::vector<double>(elements)},
      {"weight of P", "H", 12 * u + probabilities, std::vector<double>(elements)},
      {"normaliser", "H", 8 * u + probabilities, std::vector<double>(elements)},
      {"scale of the logits", "LSE", scale, std::vector<double>(tokens)},
      {"eps", "LSE", g + 4 * u, std::vector<double>(tokens)},
      {"L1", "LSE", 4 * u, std::vector<double>(tokens)},
      {"normaliser", "LSE", 12 * u + probabilities, std::vector<double>(tokens, 1.0)}};

  const std::vector<double> weights = folded_weights(inputs);
  const std::vector<float> o1_values = load_floats(inputs["O1"]), l1 = load_floats(inputs["L1"]);
  const Eigen::ArrayXd c = Eigen::Map<const Eigen::ArrayXd>(weights.data(), size.dim);
  Eigen::ArrayXd p(size.dim), o1(size.dim), sum(size.dim);
  for (std::int64_t t = 0; t < size.tokens; ++t) {
    const auto at = static_cast<std::size_t>(t), first = at * static_cast<std::size_t>(size.dim);
    load_row(inputs, t, size.dim, p.data(), sum.data());
    for (std::int64_t d = 0; d < size.dim; ++d)
      o1(d) = o1_values[first + static_cast<std::size_t>(d)];
    const auto token = attnres_merge_fwd_token<double>(p, c, o1, l1[at], eps);
    const double r2 = 1 / (p.square().mean() + eps), by_eps = -0.5 * eps * r2 * token.logit;
    const double factors[] = {token.logit, by_eps, -static_cast<double>(l1[at])};
    for (std::size_t d = 0; d < static_cast<std::size_t>(size.dim); ++d) {
      const auto i = static_cast<Eigen::Index>(d);
      const double turn = token.beta * (p(i) - o1(i));
      for (std::size_t k = 0; k < 3; ++k)
        all[k].value[first + d] = (1 - token.beta) * factors[k] * turn;
      all[3].value[first + d] = turn;
      all[4].value[first + d] = token.output(i);
    }
    all[5].value[at] = token.beta * token.logit;
    all[6].value[at] = token.beta * by_eps;
    all[7].value[at] = (1 - token.beta) * l1[at];
  }
  return all;
}

}  // namespace assay::attnres_merge_contract
