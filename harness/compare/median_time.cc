#include "harness/compare/median_time.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace assay {
namespace {

constexpr double kDeviations = 1.96;  // to either side of the middle, where ranks are read off

// Order statistics of some values, which it reorders: what is asked for later looks only where it
// can lie, given what was asked before.
class Ranks {
 public:
  explicit Ranks(std::vector<double> values) : values_(std::move(values)) {}

  // The logarithm of the value of this rank (0-based; between ranks, interpolated).
  double log_at(double rank) {
    rank = std::clamp(rank, 0.0, static_cast<double>(values_.size() - 1));
    const auto below = static_cast<std::size_t>(std::floor(rank));
    const double part = rank - std::floor(rank);
    const double low = std::log(at(below));
    return part == 0 ? low : low + part * (std::log(at(below + 1)) - low);
  }

 private:
  double at(std::size_t rank) {
    const auto above = std::lower_bound(known_.begin(), known_.end(), rank);
    if (above != known_.end() && *above == rank) return values_[rank];
    const std::size_t first = above == known_.begin() ? 0 : *(above - 1) + 1;
    const std::size_t last = above == known_.end() ? values_.size() : *above;
    const auto place = [&](std::size_t i) {
      return values_.begin() + static_cast<std::ptrdiff_t>(i);
    };
    std::nth_element(place(first), place(rank), place(last));
    known_.insert(above, rank);
    return values_[rank];
  }

  std::vector<double> values_;
  std::vector<std::size_t> known_;  // ranks that are in their places
};

// Variance of the mean of the signs around the median, as a multiple of what it were if they were
// independent.
double long_run_variance(const std::vector<double>& values, double median) {
  const auto n = values.size();
  const auto length = static_cast<std::size_t>(std::sqrt(static_cast<double>(n)));
  const std::size_t batches = n / length;
  if (batches < 3) return 1;
  const double above = median * (1 + 1e-12), below = median * (1 - 1e-12);  // it went through log
  double squares = 0;  // the mean of all signs is 0
  for (std::size_t batch = 0; batch < batches; ++batch) {
    double sum = 0;
    for (std::size_t i = batch * length; i < (batch + 1) * length; ++i)
      sum += values[i] > above ? 1 : values[i] < below ? -1 : 0;
    squares += sum * sum;
  }
  return std::max(1.0, squares / static_cast<double>(batches * length));
}

}  // namespace

MedianTime median_time(const std::vector<Sample>& samples) {
  std::vector<double> seconds, clocks;
  seconds.reserve(samples.size());
  const bool all_throttled = std::all_of(samples.begin(), samples.end(),
                                         [](const Sample& sample) { return sample.throttled; });
  for (const Sample& sample : samples) {
    if (!(sample.seconds > 0) || (sample.throttled && !all_throttled)) continue;
    seconds.push_back(sample.seconds);
    if (sample.sm_mhz > 0) clocks.push_back(sample.sm_mhz);
  }
  MedianTime result;
  result.samples = static_cast<std::int64_t>(seconds.size());
  if (seconds.empty()) return result;
  if (!clocks.empty()) {
    const double middle = static_cast<double>(clocks.size() - 1) / 2;
    result.sm_mhz = std::exp(Ranks(std::move(clocks)).log_at(middle));
  }
  const auto n = static_cast<double>(seconds.size());
  Ranks ranks(seconds);
  const double middle = (n - 1) / 2;
  result.log_seconds = ranks.log_at(middle);
  result.correlation = long_run_variance(seconds, std::exp(result.log_seconds));
  const double reach = kDeviations * std::sqrt(n * result.correlation) / 2;
  result.standard_error =
      (ranks.log_at(middle + reach) - ranks.log_at(middle - reach)) / (2 * kDeviations);
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
