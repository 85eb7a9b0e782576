#include "harness/compare/false_discovery.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace assay {

double discovery_limit(std::vector<double> p_values, double rate) {
  p_values.erase(
      std::remove_if(p_values.begin(), p_values.end(), [](double p) { return std::isnan(p); }),
      p_values.end());
  std::sort(p_values.begin(), p_values.end());
  for (std::size_t k = p_values.size(); k > 0; --k)
    if (p_values[k - 1] <= rate * static_cast<double>(k) / static_cast<double>(p_values.size()))
      return p_values[k - 1];
  return -1;
}

double normal_tail(double z) { return std::erfc(z / std::sqrt(2.0)) / 2; }

double normal_reach(double probability) {
  if (!(probability > 0 && probability < 1))
    throw std::invalid_argument("a probability lies between 0 and 1");
  double low = 0, high = 40;
  for (int i = 0; i < 100; ++i) {
    const double middle = (low + high) / 2;
    (1 - 2 * normal_tail(middle) < probability ? low : high) = middle;
  }
  return (low + high) / 2;
}

}  // namespace assay
