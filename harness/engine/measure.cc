#include "harness/engine/measure.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "harness/core/black_box.h"
#include "harness/core/registry.h"
#include "harness/engine/judge.h"
#include "harness/engine/statistics.h"

namespace assay {
namespace {

constexpr int kWarmUps = 3;  // module load, page faults, clocks
constexpr int kFirstBatch = 10;
constexpr int kMaxBatch = 1000;
constexpr std::int64_t kMaxSets = 4096;

}  // namespace

std::vector<double> take_samples(const SamplingRule& rule,
                                 const std::function<std::vector<double>(int)>& time) {
  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  std::vector<double> samples;
  double timed = 0;
  while (static_cast<int>(samples.size()) < rule.max_samples) {
    const int count = static_cast<int>(samples.size());
    const bool enough = count >= rule.min_samples && timed >= rule.min_seconds;
    const bool late =
        std::chrono::duration<double>(Clock::now() - start).count() > rule.max_seconds;
    if (enough || (late && count >= std::min(10, rule.min_samples))) break;
    int batch = std::min(kFirstBatch, std::max(rule.min_samples, 1));
    if (count > 0) {
      const double missing = (rule.min_seconds - timed) / std::max(timed / count, 1e-9);
      batch = std::clamp(static_cast<int>(std::ceil(std::min(missing, double{kMaxBatch}))), 1,
                         kMaxBatch);
      batch = std::max(batch, std::min(rule.min_samples - count, kMaxBatch));
    }
    batch = std::min(batch, rule.max_samples - count);
    for (const double seconds : time(batch)) {
      samples.push_back(seconds);
      timed += seconds;
    }
  }
  return samples;
}

std::int64_t rotation_sets(std::int64_t set_bytes, std::int64_t cache_bytes,
                           std::int64_t memory_bytes) {
  const std::int64_t wanted =
      std::max<std::int64_t>(2, (3 * cache_bytes + set_bytes - 1) / set_bytes);
  return std::max<std::int64_t>(1, std::min({wanted, memory_bytes / set_bytes, kMaxSets}));
}

Timing measure_cold(const Problem& problem, const Variant& variant, Device& device,
                    BufferSet& first, std::int64_t memory_bytes, const SamplingRule& rule) {
  Timing timing;
  const std::int64_t set_bytes = BufferSet::bytes_needed(variant, problem);
  const std::int64_t count = rotation_sets(set_bytes, device.info().cache_bytes, memory_bytes);
  std::vector<BufferSet*> sets = {&first};
  for (std::int64_t i = 1; i < count; ++i) {
    timing.further_sets.push_back(std::make_unique<BufferSet>(device, variant, problem));
    sets.push_back(timing.further_sets.back().get());
    sets.back()->copy_inputs_from(first);
  }
  {
    const KernelStage stage("warming up", kWarmUps);
    for (int i = 0; i < kWarmUps; ++i)
      sets[static_cast<std::size_t>(i) % sets.size()]->launch()(device.stream());
    device.synchronize();
  }

  for (BufferSet* set : sets) set->poison(kPoisons[0]);

  // What is updated in place is restored half a rotation before it is used, so that it is out of
  // the cache by then.
  const std::size_t ahead = sets.size() / 2;
  std::size_t next = 0;
  const std::vector<double> samples = take_samples(rule, [&](int n) {
    std::vector<TimedLaunch> launches;
    for (int i = 0; i < n; ++i) {
      launches.push_back({&sets[next]->launch(), sets[(next + ahead) % sets.size()]->restore()});
      timing.last = sets[next];
      next = (next + 1) % sets.size();
    }
    const KernelStage stage("timing", n);
    return device.time(launches);
  });
  device.synchronize();

  const Cost cost = op_of(problem).cost(problem);
  Measurement& result = timing.measurement;
  result.cache = "cold";
  result.clock = device.clock();
  result.samples = static_cast<std::int64_t>(samples.size());
  result.median = median(samples);
  result.p05 = quantile(samples, 0.05);
  result.p95 = quantile(samples, 0.95);
  result.bytes_read = cost.bytes_read;
  result.bytes_written = cost.bytes_written;
  result.flops = cost.flops;
  result.limit = device.bandwidth(cost.bytes_read, cost.bytes_written);
  result.buffer_sets = count;
  for (const double seconds : samples) result.taken.push_back({.seconds = seconds});
  return timing;
}

}  // namespace assay
