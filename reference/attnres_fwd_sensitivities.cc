// What O and LSE do when one factor inside attnres_fwd is a little off: for the test that finds
// systematic errors which hide inside the bounds of single elements.
//
//   scale of the logits, l (1 + e):  ∂O = Σ α l (v - o),            ∂LSE = Σ α l
//   eps (1 + e):                     ∂l = -r² eps l / 2, and so     ∂O = Σ α ∂l (v - o), ∂LSE = Σ α
//   ∂l normaliser or weights (1 + e):   ∂O = o,                        ∂LSE = 1
//
// Allowances, with u, h, R as declared, g = u·h. Sums that truncate lose up to g (their h is
// declared doubled): the score up to g of itself, Σv² up to g, hence r gains g/2; mean, eps, rsqrt,
// the scaling by log₂e and back 8u; c rounded to 16 bits errs the same way in every token, by up to
// u_c. An error of Σv² is one of the scale by -1/2 and one of eps by -1. O: two chains of N + R
// roundings, two divisions of 2 ulps; weights and partials that are rounded to 16 bits may all be
// equal. LSE: a sum of N, exp's 2 ulps and as many for each rescale, the logarithm's (1 + log N),
// weights.
#include <cmath>

#include "reference/attnres_fwd.h"
#include "reference/attnres_fwd_contract.h"
#include "reference/attnres_numerics.h"
#include "reference/families.h"

namespace assay::attnres_contract {

std::vector<Sensitivity> sensitivities(const Problem& problem, const Tensors& inputs,
                                       const Numerics& numerics) {
  const Size size(problem);
  const double eps = problem.real("eps"), u = unit_roundoff(numerics.accumulate);
  const double g = u * numerics.summation_height, rescales = numerics.rescales;
  const auto sources = static_cast<double>(size.sources);
  const double scale = 1.5 * g + 8 * u + attnres_numerics::rounding(numerics.weights),
               added = g + 4 * u;
  const double mix = (2 * sources + 8 + 2 * rescales) * u +
                     attnres_numerics::rounding(numerics.probabilities) +
                     attnres_numerics::rounding(numerics.partials);
  const double total = (sources + 14 + 5 * rescales + 2 * std::log(sources)) * u +
                       attnres_numerics::rounding(numerics.probabilities);
  const auto outputs = static_cast<std::size_t>(size.queries * size.tokens * size.dim);
  const auto sums = static_cast<std::size_t>(size.queries * size.tokens);
  std::vector<Sensitivity> all = {{"scale of the logits", "O", scale, std::vector<double>(outputs)},
                                  {"eps", "O", added, std::vector<double>(outputs)},
                                  {"normaliser", "O", mix, std::vector<double>(outputs)},
                                  {"scale of the logits", "LSE", scale, std::vector<double>(sums)},
                                  {"eps", "LSE", added, std::vector<double>(sums)},
                                  {"normaliser", "LSE", total, std::vector<double>(sums, 1.0)}};

  const std::vector<float> values = load_floats(inputs["V"]), w = load_floats(inputs["w"]),
                           weights = inputs.find("g") ? load_floats(inputs["g"])
                                                      : std::vector<float>(w.size(), 1.0f);
  RowMatrix<double> c(size.queries, size.dim), v(size.sources, size.dim);
  for (std::int64_t i = 0; i < c.size(); ++i) {
    const auto at = static_cast<std::size_t>(i);
    c.data()[i] = static_cast<double>(w[at]) * static_cast<double>(weights[at]);
  }
  for (std::int64_t t = 0; t < size.tokens; ++t) {
    for (std::int64_t n = 0; n < size.sources; ++n)
      for (std::int64_t d = 0; d < size.dim; ++d)
        v(n, d) = values[static_cast<std::size_t>((n * size.tokens + t) * size.dim + d)];
    const auto token = attnres_fwd_token<double>(v, c, eps);
    const Eigen::ArrayXd r2 =
        (v.rowwise().squaredNorm().array() / static_cast<double>(size.dim) + eps).inverse();
    for (std::int64_t q = 0; q < size.queries; ++q) {
      const Eigen::ArrayXd l = (v * c.row(q).transpose()).array() * r2.sqrt();
      const Eigen::ArrayXd alpha = token.weights.row(q).transpose();
      const Eigen::ArrayXd by_scale = alpha * l, by_eps = -0.5 * eps * r2 * by_scale;
      const auto at = static_cast<std::size_t>(q * size.tokens + t);
      all[3].value[at] = by_scale.sum();
      all[4].value[at] = by_eps.sum();
      for (std::int64_t d = 0; d < size.dim; ++d) {
        const auto element = at * static_cast<std::size_t>(size.dim) + static_cast<std::size_t>(d);
        const double o = token.output(q, d);
        all[0].value[element] = (by_scale * (v.col(d).array() - o)).sum();
        all[1].value[element] = (by_eps * (v.col(d).array() - o)).sum();
        all[2].value[element] = o;
      }
    }
  }
  return all;
}

}  // namespace assay::attnres_contract
