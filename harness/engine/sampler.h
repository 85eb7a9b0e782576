// Decides how many samples are enough.
#pragma once

#include <algorithm>
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

// The clock that a sample is held against: the fastest that was seen on this device so far, at most
// the one that it is made for, since a device that has little to do may run faster.
struct UsualClock {
  float made_for_mhz = 0;  // 0: unknown
  float fastest_mhz = 0;

  void see(float mhz) { fastest_mhz = std::max(fastest_mhz, mhz); }
  bool is_throttled(float mhz) const {
    constexpr float kThrottled = 0.9F;
    const float usual = made_for_mhz > 0 ? std::min(fastest_mhz, made_for_mhz) : fastest_mhz;
    return mhz > 0 && mhz < kThrottled * usual;
  }
};

struct Sampled {
  std::vector<Sample> samples;
  std::string stopped;        // precise, steady (noise falls no more), time, count
  std::int64_t repeated = 0;  // throttled samples that were taken once more
};

// Calls time(n), which returns n further samples, until the rule is satisfied. Throttled samples
// are taken again after pause(), a few times; those that then remain are marked.
Sampled take_samples(const SamplingRule& rule, const std::function<std::vector<Sample>(int)>& time,
                     UsualClock& clock, const std::function<void()>& pause);

}  // namespace assay
