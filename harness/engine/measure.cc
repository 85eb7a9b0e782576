#include "harness/engine/measure.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <optional>
#include <thread>
#include <tuple>

#include "harness/core/black_box.h"
#include "harness/core/error.h"
#include "harness/core/registry.h"
#include "harness/core/spending.h"
#include "harness/core/text.h"
#include "harness/engine/statistics.h"

namespace assay {
namespace {

constexpr auto kPause = std::chrono::milliseconds(250);  // for a throttled device to recover
// Launches under CUPTI: as many as take that long, within these limits. A quarter warms up: of a
// dozen after a pause the median was now and then a fifth above the timed ones.
constexpr double kTracedSeconds = 0.02;
constexpr int kLeastTraced = 12, kMostTraced = 256;

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> words;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    if (end > begin) words.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return words;
}

std::vector<Sample> take(Rotation& rotation, const std::string& cache, int n) {
  if (cache == "hot") return rotation.time_hot(n);
  if (cache == "graph") return rotation.time_graph(n);
  return rotation.time_cold(n);
}

// The matrix units that take numbers of this dtype as they are.
std::optional<Arithmetic> matrix_arithmetic(DType dtype) {
  if (dtype == DType::bf16) return Arithmetic::matrix_bf16;
  if (dtype == DType::f16) return Arithmetic::matrix_f16;
  return {};
}

void summarise(Sampled sampled, Measurement& result) {
  std::vector<double> seconds, mhz;
  for (const Sample& sample : sampled.samples) {
    seconds.push_back(sample.seconds);
    if (sample.sm_mhz > 0) mhz.push_back(sample.sm_mhz);
    if (sample.throttled) ++result.throttled;
  }
  result.samples = static_cast<std::int64_t>(seconds.size());
  result.median = median(seconds);
  result.p05 = quantile(seconds, 0.05);
  result.p95 = quantile(seconds, 0.95);
  std::tie(result.low, result.high) = bootstrap_median(seconds);
  result.noise = standard_error_of_median(seconds) / result.median;
  result.sm_mhz = mhz.empty() ? 0 : median(mhz);
  result.repeated = sampled.repeated;
  result.stopped = std::move(sampled.stopped);
  result.taken = std::move(sampled.samples);
}

void add_trace(const std::vector<TracedLaunch>& launches, Measurement& result) {
  std::vector<double> spans;
  std::map<std::string, std::vector<double>> seconds;  // of a name, by launch
  std::vector<std::string> order;
  for (const TracedLaunch& launch : launches) {
    std::map<std::string, double> sums;
    for (const TracedKernel& kernel : launch.kernels) {
      sums[kernel.name] += kernel.seconds;
      if (std::find(order.begin(), order.end(), kernel.name) == order.end())
        order.push_back(kernel.name);
    }
    for (const auto& [name, sum] : sums) seconds[name].push_back(sum);
    spans.push_back(launch.seconds);
  }
  result.traced = median(spans);
  for (const std::string& name : order) {
    const auto& kernels = launches.back().kernels;
    result.kernels.push_back(
        {name,
         std::count_if(kernels.begin(), kernels.end(),
                       [&](const TracedKernel& kernel) { return kernel.name == name; }),
         median(seconds[name])});
  }
}

void note(Record& record, const std::string& text) {
  if (!text.empty() &&
      std::find(record.notes.begin(), record.notes.end(), text) == record.notes.end())
    record.notes.push_back(text);
}

// The second clock is asked once nothing more is timed: it may slow down what it watches.
// Returns the kernels of a launch, in their order.
std::vector<std::string> trace(Rotation& rotation, Device& device, Record& record) {
  const auto cold = std::find_if(record.measurements.begin(), record.measurements.end(),
                                 [](const Measurement& m) { return m.cache == "cold"; });
  if (cold == record.measurements.end()) return {};
  const Spending spending(Expense::counters);
  const int launches = static_cast<int>(
      std::clamp<double>(kTracedSeconds / std::max(cold->median, 1e-9), kLeastTraced, kMostTraced));
  const KernelStage stage("launches under CUPTI", launches);
  std::string why_not;
  std::vector<TracedLaunch> traced = device.trace(rotation.next(launches), why_not);
  note(record, why_not);
  if (traced.size() < 2) return {};
  traced.erase(traced.begin(), traced.begin() + static_cast<std::ptrdiff_t>(traced.size() + 3) / 4);
  add_trace(traced, *cold);
  std::vector<std::string> names;
  for (const TracedKernel& kernel : traced.back().kernels)
    if (kernel.is_kernel) names.push_back(kernel.name);
  return names;
}

void count(Rotation& rotation, Device& device, const std::vector<std::string>& names,
           const std::vector<std::string>& kernels, Record& record) {
  const Spending spending(Expense::counters);
  // As many launches as there may be passes, each on a set that is out of the cache.
  const auto launches = static_cast<int>(names.size());
  const KernelStage stage("launches whose counters are read", 40 * launches);
  std::string why_not;
  std::vector<CountedKernel> counted = device.count(rotation.next(launches), names, why_not);
  for (std::size_t i = 0; i < counted.size(); ++i)
    record.counters.push_back(
        {counted.size() == kernels.size() ? kernels[i] : fmt::format("kernel {}", i),
         std::move(counted[i])});
  note(record, why_not);
}

}  // namespace

std::vector<std::string> split_caches(const std::string& caches) {
  const std::vector<std::string> known = {"cold", "hot", "graph"};
  std::vector<std::string> words = split(caches);
  for (const std::string& word : words)
    if (std::find(known.begin(), known.end(), word) == known.end())
      throw UsageError(fmt::format("unknown cache state `{}`{}", word, suggestion(word, known)));
  if (words.empty()) throw UsageError("no cache state to time in, one of: " + join(known));
  return words;
}

std::vector<std::string> split_counters(const std::string& names,
                                        const std::vector<DeviceInfo>& devices) {
  std::vector<std::string> words = split(names);
  for (const DeviceInfo& device : devices)
    find_platform(device.backend)->require_counters(device.index, words);
  return words;
}

std::string usual_counters() {
  return "dram__bytes_read.sum,dram__bytes_write.sum,lts__t_sector_hit_rate.pct,"
         "sm__pipe_tensor_cycles_active.avg.pct_of_peak_sustained_active,"
         "sm__warps_active.avg.pct_of_peak_sustained_active";
}

void measure(const Problem& problem, Rotation& rotation, Device& device, Limits& limits,
             const MeasureOptions& options, Record& record) {
  const Cost cost = op_of(problem).cost(problem);
  const double offset = limits.offset();
  for (const std::string& cache : split_caches(options.caches)) {
    const Spending spending(Expense::timing);
    std::string why_not;
    if (cache == "graph" && !rotation.record_graph(why_not)) {
      note(record, why_not);
      continue;
    }
    const bool is_graph = cache == "graph";
    SamplingRule rule = options.sampling;
    if (is_graph) rule.min_seconds /= static_cast<double>(rotation.sets());
    take(rotation, cache, 2);  // warms up
    Sampled sampled = take_samples(
        rule, [&](int n) { return take(rotation, cache, n); }, limits.clock,
        [] { std::this_thread::sleep_for(kPause); });
    device.synchronize();

    Measurement result;
    result.cache = cache;
    result.clock = device.clock();
    summarise(std::move(sampled), result);
    result.bytes_read = cost.bytes_read;
    result.bytes_written = cost.bytes_written;
    result.flops = cost.flops;
    result.limit = limits.bandwidth(cost.bytes_read, cost.bytes_written);
    result.fma_limit = limits.arithmetic(Arithmetic::fma_f32);
    if (const auto matrices = matrix_arithmetic(problem.dtype))
      result.matrix_limit = limits.arithmetic(*matrices);
    result.floor = floor_seconds(cost, cache == "cold", device.info().cache_bytes, limits);
    result.offset = is_graph ? offset / static_cast<double>(rotation.sets()) : offset;
    result.buffer_sets = cache == "hot" ? 1 : rotation.sets();
    record.measurements.push_back(std::move(result));
  }
}

void observe(Rotation& rotation, Device& device, const MeasureOptions& options, Record& record) {
  std::vector<std::string> kernels;
  if (options.trace) kernels = trace(rotation, device, record);
  if (!options.counters.empty()) count(rotation, device, split(options.counters), kernels, record);
}

}  // namespace assay
