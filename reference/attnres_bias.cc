#include "reference/attnres_bias.h"

#include <algorithm>
#include <cmath>

namespace assay::attnres_bias {

double product(const Values& a, const Values& b) {
  double total = 0;
  for (std::size_t i = 0; i < a.size(); ++i) total += a[i] * b[i];
  return total;
}

void add_sensitivities(std::vector<Sensitivity>& all, const char* output,
                       const std::vector<const char*>& names, const std::vector<Values>& values,
                       const std::vector<double>& allowances, const std::vector<double>& scatter) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double square = product(values[i], values[i]);
    if (!(square > 0)) continue;
    double allowance = scatter.empty() ? 0 : scatter[i];
    for (std::size_t j = 0; j < values.size(); ++j)
      allowance += allowances[j] * std::abs(product(values[i], values[j])) / square;
    if (std::isfinite(allowance)) all.push_back({names[i], output, allowance, values[i]});
  }
}

std::vector<double> Scatter::of(const std::vector<Values>& x) const {
  std::vector<double> result(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double square = product(x[i], x[i]);
    result[i] = square > 0 ? std::min(sums_[i], 6 * std::sqrt(squares_[i])) / square : 0;
  }
  return result;
}

std::vector<Values> weighted(const std::vector<Values>& x, const std::vector<float>& weights) {
  std::vector<Values> result = x;
  for (Values& of_factor : result)
    for (std::size_t i = 0; i < of_factor.size(); ++i)
      of_factor[i] *= static_cast<double>(weights[i]);
  return result;
}

}  // namespace assay::attnres_bias
