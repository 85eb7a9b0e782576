#include "harness/engine/sampler.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>

#include "harness/engine/statistics.h"

namespace assay {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kFirstBatch = 10;
constexpr int kMaxBatch = 1000;
constexpr int kLeast = 10;      // samples, even when the time is up
constexpr int kMostPauses = 3;  // for one measurement: a card at its power limit stays there

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Marks what was throttled; returns how many.
std::int64_t mark(std::vector<Sample>& samples, UsualClock& clock) {
  for (const Sample& sample : samples) clock.see(sample.sm_mhz);
  std::int64_t marked = 0;
  for (Sample& sample : samples) {
    sample.throttled = clock.is_throttled(sample.sm_mhz);
    if (sample.throttled) ++marked;
  }
  return marked;
}

// Noise is looked at whenever there are half as many samples again, so that looking costs little
// and a level that it keeps is seen as such.
class Precision {
 public:
  explicit Precision(double wanted) : wanted_(wanted) {}

  // "precise", "steady", or empty: go on.
  std::string judge(const std::vector<Sample>& samples) {
    if (samples.size() < next_look_) return "";
    next_look_ = samples.size() + samples.size() / 2 + 1;
    const std::vector<double> seconds = seconds_of(samples);
    const double noise = standard_error_of_median(seconds) / median(seconds);
    if (noise <= wanted_) return "precise";
    // With independent samples half as many again take it down by a fifth.
    constexpr double kFalls = 0.95;
    stalled_ = noise < kFalls * least_ ? 0 : stalled_ + 1;
    least_ = std::min(least_, noise);
    constexpr int kPatience = 3;
    return stalled_ >= kPatience ? "steady" : "";
  }
  std::size_t next_look() const { return next_look_; }

 private:
  double wanted_;
  double least_ = std::numeric_limits<double>::infinity();
  int stalled_ = 0;
  std::size_t next_look_ = 0;
};

}  // namespace

Sampled take_samples(const SamplingRule& rule, const std::function<std::vector<Sample>(int)>& time,
                     UsualClock& clock, const std::function<void()>& pause) {
  const auto start = Clock::now();
  Sampled result;
  std::vector<Sample>& samples = result.samples;
  Precision precision(rule.noise);
  double timed = 0;
  int pauses = 0;
  while (result.stopped.empty()) {
    const auto count = static_cast<int>(samples.size());
    if (count >= rule.max_samples) {
      result.stopped = "count";
      break;
    }
    const bool late = seconds_since(start) > rule.max_seconds;
    if (late && count >= std::min(kLeast, rule.min_samples)) {
      result.stopped = "time";
      break;
    }
    const bool minima = count >= rule.min_samples && timed >= rule.min_seconds;
    if (minima && !late) result.stopped = precision.judge(samples);
    if (!result.stopped.empty()) break;

    int batch = std::min(kFirstBatch, std::max(rule.min_samples, 1));
    if (count > 0) {
      const double missing = (rule.min_seconds - timed) / std::max(timed / count, 1e-9);
      const double to_look =
          minima ? static_cast<double>(precision.next_look()) - count : rule.min_samples - count;
      batch = std::clamp(
          static_cast<int>(std::ceil(std::min(std::max(missing, to_look), double{kMaxBatch}))), 1,
          kMaxBatch);
      // No batch runs far beyond the time that there is.
      const double left = rule.max_seconds - seconds_since(start);
      const double each = seconds_since(start) / count;
      batch = std::clamp(static_cast<int>(std::min(left / std::max(each, 1e-9), 1e6)), 1, batch);
    }
    batch = std::min(batch, rule.max_samples - count);
    std::vector<Sample> further = time(batch);
    const std::int64_t throttled = mark(further, clock);
    if (throttled > 0 && pauses < kMostPauses && !late) {
      ++pauses;
      result.repeated += throttled;
      std::erase_if(further, [](const Sample& sample) { return sample.throttled; });
      pause();
    }
    for (const Sample& sample : further) timed += sample.seconds;
    samples.insert(samples.end(), further.begin(), further.end());
  }
  mark(samples, clock);
  return result;
}

}  // namespace assay
