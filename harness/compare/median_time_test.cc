// The median's standard error: right for independent samples, larger for correlated ones.
#include "harness/compare/median_time.h"

#include <cmath>
#include <random>

#include "harness/testing.h"

namespace assay {
namespace {

std::vector<Sample> samples_of(const std::vector<double>& seconds) {
  std::vector<Sample> samples;
  for (const double each : seconds) samples.push_back({.seconds = each});
  return samples;
}

// Log-normal, each keeping the share `memory` of the deviation of the one before it.
std::vector<Sample> simulate(std::mt19937_64& random, int count, double sigma, double memory) {
  std::normal_distribution<double> normal;
  std::vector<double> seconds;
  double deviation = normal(random);
  for (int i = 0; i < count; ++i) {
    deviation = memory * deviation + std::sqrt(1 - memory * memory) * normal(random);
    seconds.push_back(1e-3 * std::exp(sigma * deviation));
  }
  return samples_of(seconds);
}

// By how many of its own standard errors the median is off, as a root mean square.
double calibration(double memory, int count) {
  std::mt19937_64 random(7);
  double squares = 0;
  constexpr int kRuns = 400;
  for (int run = 0; run < kRuns; ++run) {
    const MedianTime time = median_time(simulate(random, count, 0.02, memory));
    const double off = (time.log_seconds - std::log(1e-3)) / time.standard_error;
    squares += off * off;
  }
  return std::sqrt(squares / kRuns);
}

}  // namespace

TEST_CASE("the median of samples, and its standard error from the ranks around it") {
  const MedianTime time = median_time(samples_of({3e-6, 1e-6, 2e-6, 5e-6, 4e-6}));
  CHECK(std::exp(time.log_seconds) == Approx(3e-6));
  CHECK(time.samples == 5);
  CHECK(time.standard_error > 0);
  CHECK(std::exp(median_time(samples_of({1e-6, 3e-6})).log_seconds) ==
        Approx(std::sqrt(3.0) * 1e-6));
  CHECK(median_time(samples_of({2e-6})).standard_error == 0);
  CHECK(median_time(std::vector<Sample>{}).samples == 0);
  CHECK(median_time(samples_of({2e-6, 2e-6, 2e-6, 2e-6, 2e-6, 2e-6})).standard_error == 0);
}

TEST_CASE("the standard error is right for independent samples and for correlated ones") {
  CHECK(calibration(0, 200) == Approx(1).margin(0.15));
  CHECK(calibration(0, 31) == Approx(1).margin(0.25));
  // Batches of √n are short for such a memory: optimistic, but by far less than √19 = 4.4, which is
  // what independence would be off by.
  CHECK(calibration(0.9, 1000) < 1.5);
  CHECK(calibration(0.9, 1000) > 0.8);
}

TEST_CASE("a bimodal distribution leaves the median between its modes uncertain") {
  std::vector<double> seconds;
  for (int i = 0; i < 100; ++i) seconds.push_back(i % 2 == 0 ? 1e-6 : 2e-6);
  CHECK(median_time(samples_of(seconds)).standard_error > 0.1);
}

TEST_CASE("throttled samples are left out, unless there are no others") {
  std::vector<Sample> samples = samples_of({1e-6, 1e-6, 1e-6, 9e-6, 9e-6, 9e-6, 9e-6});
  for (std::size_t i = 3; i < samples.size(); ++i) samples[i].throttled = true;
  for (Sample& sample : samples) sample.sm_mhz = sample.throttled ? 1000 : 1980;
  CHECK(median_time(samples).samples == 3);
  CHECK(std::exp(median_time(samples).log_seconds) == Approx(1e-6));
  CHECK(median_time(samples).sm_mhz == Approx(1980));
  for (Sample& sample : samples) sample.throttled = true;
  CHECK(median_time(samples).samples == 7);
}

TEST_CASE("without samples, percentiles tell the spread") {
  Measurement measurement{.samples = 400, .median = 1e-3, .p05 = 0.98e-3, .p95 = 1.02e-3};
  const MedianTime time = median_time(measurement);
  CHECK(std::exp(time.log_seconds) == Approx(1e-3));
  CHECK(time.standard_error == Approx(1.2533 * 0.040005 / 3.29 / 10).epsilon(0.01));
  measurement.median = 0;
  CHECK(median_time(measurement).samples == 0);
}

}  // namespace assay
