// Decides how many samples are enough.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "harness/core/record.h"

namespace assay {

// Both minima first; then until the standard error of the median is at most `noise` of it, or has
// stopped falling, or the time is up. When the time is up, 10 samples are enough.
struct SamplingRule {
  int min_samples = 10;
  double min_seconds = 0.05;  // of timed work
  double noise = 0.005;
  double max_seconds = 10;  // wall time, set-up excluded
  int max_samples = 10'000;
};

// Samples that came while the clock was this much below the fastest that was seen are throttled.
inline constexpr double kThrottled = 0.9;

struct Sampled {
  std::vector<Sample> samples;
  std::string stopped;        // precise, steady (noise falls no more), time, count
  std::int64_t repeated = 0;  // throttled samples that were taken once more
};

// Calls time(n), which returns n further samples, until the rule is satisfied. Throttled samples
// are taken again after pause(), a few times; those that then remain are marked. `fastest_mhz` is
// the fastest clock that was seen on this device so far, and is brought up to date.
Sampled take_samples(const SamplingRule& rule, const std::function<std::vector<Sample>(int)>& time,
                     float& fastest_mhz, const std::function<void()>& pause);

}  // namespace assay
