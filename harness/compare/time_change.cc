#include "harness/compare/time_change.h"

#include <algorithm>
#include <cmath>

#include "harness/compare/false_discovery.h"

namespace assay {
namespace {

struct Side {
  double log_seconds = 0;
  double variance = 0;  // of log_seconds
};

// Runs differ by at least what is known of this machine, and by more where these do.
Side side_of(const std::vector<MedianTime>& runs, const TimeThresholds& thresholds) {
  std::vector<double> logs;
  double within = 0;
  for (const MedianTime& run : runs) {
    logs.push_back(run.log_seconds);
    within += run.standard_error * run.standard_error;
  }
  const auto n = static_cast<double>(runs.size());
  within /= n;
  std::sort(logs.begin(), logs.end());
  const std::size_t half = logs.size() / 2;
  const double median = logs.size() % 2 == 1 ? logs[half] : (logs[half - 1] + logs[half]) / 2;
  const double absolute = thresholds.run_to_run_seconds / std::exp(median);
  double between = thresholds.run_to_run * thresholds.run_to_run + absolute * absolute;
  if (runs.size() > 1) {
    double mean = 0, squares = 0;
    for (const double log : logs) mean += log / n;
    for (const double log : logs) squares += (log - mean) * (log - mean);
    between = std::max(between, squares / (n - 1) - within);
  }
  return {median, (between + within) / n};
}

}  // namespace

TimeChange test_times(const std::vector<MedianTime>& base, const std::vector<MedianTime>& next,
                      const TimeThresholds& thresholds, double confidence) {
  const Side was = side_of(base, thresholds), is = side_of(next, thresholds);
  TimeChange time;
  time.base = std::exp(was.log_seconds);
  time.next = std::exp(is.log_seconds);
  const double log_ratio = is.log_seconds - was.log_seconds;
  time.standard_error = std::sqrt(was.variance + is.variance);
  const double reach = normal_reach(confidence) * time.standard_error;
  time.ratio = std::exp(log_ratio);
  time.low = std::exp(log_ratio - reach);
  time.high = std::exp(log_ratio + reach);
  const double least = std::log1p(thresholds.effect), size = std::abs(log_ratio);
  if (time.standard_error > 0)
    time.p = std::min(1.0, normal_tail((size - least) / time.standard_error) +
                               normal_tail((size + least) / time.standard_error));
  else
    time.p = size > least ? 0 : 1;
  return time;
}

Change judge(const TimeChange& time, double limit, const TimeThresholds& thresholds) {
  if (time.p <= limit) return time.ratio > 1 ? Change::slower : Change::faster;
  const double most = 1 + thresholds.same_within;
  return time.high <= most && time.low >= 1 / most ? Change::same : Change::unclear;
}

}  // namespace assay
