#include "harness/compare/median_time.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace assay {
namespace {

constexpr double kDeviations = 1.96;  // to either side of the middle, where ranks are read off

// The value of this rank (0-based; between ranks, interpolated). Reorders.
double at_rank(std::vector<double>& values, double rank) {
  rank = std::clamp(rank, 0.0, static_cast<double>(values.size() - 1));
  const auto below = static_cast<std::ptrdiff_t>(std::floor(rank));
  const auto place = values.begin() + below;
  std::nth_element(values.begin(), place, values.end());
  const double part = rank - std::floor(rank);
  if (part == 0) return *place;
  return *place + part * (*std::min_element(place + 1, values.end()) - *place);
}

// Variance of the mean of the signs around the median, as a multiple of what it were if they were
// independent.
double long_run_variance(const std::vector<double>& values, double median) {
  const auto n = values.size();
  const auto length = static_cast<std::size_t>(std::sqrt(static_cast<double>(n)));
  const std::size_t batches = n / length;
  if (batches < 3) return 1;
  double squares = 0;  // the mean of all signs is 0
  for (std::size_t batch = 0; batch < batches; ++batch) {
    double sum = 0;
    for (std::size_t i = batch * length; i < (batch + 1) * length; ++i)
      sum += values[i] > median ? 1 : values[i] < median ? -1 : 0;
    squares += sum * sum;
  }
  return std::max(1.0, squares / static_cast<double>(batches * length));
}

}  // namespace

MedianTime median_time(const std::vector<Sample>& samples) {
  std::vector<double> logs, clocks;
  logs.reserve(samples.size());
  const bool all_throttled = std::all_of(samples.begin(), samples.end(),
                                         [](const Sample& sample) { return sample.throttled; });
  for (const Sample& sample : samples) {
    if (!(sample.seconds > 0) || (sample.throttled && !all_throttled)) continue;
    logs.push_back(std::log(sample.seconds));
    if (sample.sm_mhz > 0) clocks.push_back(sample.sm_mhz);
  }
  MedianTime result;
  result.samples = static_cast<std::int64_t>(logs.size());
  if (logs.empty()) return result;
  if (!clocks.empty()) result.sm_mhz = at_rank(clocks, static_cast<double>(clocks.size() - 1) / 2);
  const auto n = static_cast<double>(logs.size());
  std::vector<double> sorted = logs;
  const double middle = (n - 1) / 2;
  result.log_seconds = at_rank(sorted, middle);
  result.correlation = long_run_variance(logs, result.log_seconds);
  const double reach = kDeviations * std::sqrt(n * result.correlation) / 2;
  result.standard_error =
      (at_rank(sorted, middle + reach) - at_rank(sorted, middle - reach)) / (2 * kDeviations);
  return result;
}

MedianTime median_time(const Measurement& measurement) {
  MedianTime result;
  if (!(measurement.median > 0) || measurement.samples < 1) return result;
  result.samples = measurement.samples;
  result.correlation = 4;
  result.log_seconds = std::log(measurement.median);
  constexpr double kNormal = 2 * 1.645;  // deviations between the 5th and the 95th percentile
  constexpr double kMedian = 1.2533;     // of the median's deviation to the mean's: √(π/2)
  if (measurement.p05 > 0 && measurement.p95 > measurement.p05)
    result.standard_error =
        kMedian * std::log(measurement.p95 / measurement.p05) / kNormal *
        std::sqrt(result.correlation / static_cast<double>(measurement.samples));
  return result;
}

}  // namespace assay
