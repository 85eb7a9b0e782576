#include "harness/engine/statistics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

namespace assay {

double quantile(std::vector<double> samples, double q) {
  if (samples.empty()) throw std::invalid_argument("quantile of no samples");
  std::sort(samples.begin(), samples.end());
  const double place = q * static_cast<double>(samples.size() - 1);
  const auto below = static_cast<std::size_t>(std::floor(place));
  const std::size_t above = std::min(below + 1, samples.size() - 1);
  return samples[below] + (place - std::floor(place)) * (samples[above] - samples[below]);
}

double median(std::vector<double> samples) { return quantile(std::move(samples), 0.5); }

double standard_error_of_median(std::vector<double> samples) {
  const std::size_t n = samples.size();
  if (n < 3) return std::numeric_limits<double>::infinity();
  std::sort(samples.begin(), samples.end());
  const double middle = static_cast<double>(n - 1) / 2;
  const double reach = std::max(0.5, std::sqrt(static_cast<double>(n)) / 2);
  const auto below = static_cast<std::size_t>(std::max(0.0, std::floor(middle - reach)));
  const std::size_t above = n - 1 - below;
  // Whole ranks: what they reach is a little more than what was wanted.
  const double reached = static_cast<double>(above - below) / 2;
  return (samples[above] - samples[below]) / 2 * (reach / reached);
}

namespace {

// P(binomial(n, p) >= k)
double binomial_tail(std::size_t n, double p, std::size_t k) {
  if (p >= 1) return 1;
  const auto trials = static_cast<double>(n);
  const double log_all = std::lgamma(trials + 1);
  double sum = 0;
  for (std::size_t i = k; i <= n; ++i) {
    const auto hits = static_cast<double>(i);
    sum += std::exp(log_all - std::lgamma(hits + 1) - std::lgamma(trials - hits + 1) +
                    hits * std::log(p) + (trials - hits) * std::log1p(-p));
  }
  return sum;
}

// The least rank j (from 1) for which the `middle`-th of n draws is of rank j or less with
// probability `share`.
std::size_t rank_of(std::size_t n, std::size_t middle, double share) {
  std::size_t low = 1, high = n;
  while (low < high) {
    const std::size_t j = (low + high) / 2;
    if (binomial_tail(n, static_cast<double>(j) / static_cast<double>(n), middle) >= share)
      high = j;
    else
      low = j + 1;
  }
  return low;
}

}  // namespace

std::pair<double, double> bootstrap_median(std::vector<double> samples, double confidence) {
  if (samples.empty()) throw std::invalid_argument("interval of no samples");
  std::sort(samples.begin(), samples.end());
  const std::size_t n = samples.size();
  const double outside = (1 - confidence) / 2;
  // Of an even number the lower median for the lower end, the upper one for the upper.
  const std::size_t low = rank_of(n, (n + 1) / 2, outside);
  const std::size_t high = rank_of(n, n / 2 + 1, 1 - outside);
  return {samples[low - 1], samples[high - 1]};
}

std::vector<double> seconds_of(const std::vector<Sample>& samples) {
  std::vector<double> seconds;
  seconds.reserve(samples.size());
  for (const Sample& sample : samples) seconds.push_back(sample.seconds);
  return seconds;
}

}  // namespace assay
