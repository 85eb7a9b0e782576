#include "harness/engine/limits.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string_view>
#include <utility>

#include "harness/core/black_box.h"
#include "harness/core/spending.h"
#include "harness/core/text.h"
#include "harness/engine/statistics.h"

namespace assay {
namespace {

constexpr Mix kUsual[] = {{1, 0}, {9, 1}, {4, 1}, {2, 1}, {1, 1}, {1, 2}, {0, 1}};

constexpr std::pair<Arithmetic, std::string_view> kArithmetics[] = {
    {Arithmetic::fma_f32, "fma_f32"},
    {Arithmetic::matrix_bf16, "matrix_bf16"},
    {Arithmetic::matrix_f16, "matrix_f16"}};

std::string describe(const DeviceInfo& info) {
  std::string text = info.name;
  for (const auto& [key, value] : info.facts) text += fmt::format(", {} {}", key, value);
  return text;
}

// Bytes that must pass the memory before the kernel has ended.
struct Traffic {
  double read = 0, written = 0;
};
Traffic least_traffic(const Cost& cost, bool cold, std::int64_t cache_bytes) {
  const double kept = cold ? static_cast<double>(cache_bytes) : 0;
  return {cost.bytes_read, std::max(0.0, cost.bytes_written - kept)};
}

}  // namespace

std::filesystem::path cache_folder() {
  if (const char* folder = std::getenv("XDG_CACHE_HOME"); folder && *folder == '/')
    return std::filesystem::path(folder) / "assay";
  if (const char* home = std::getenv("HOME"); home && *home == '/')
    return std::filesystem::path(home) / ".cache" / "assay";
  return {};
}

Limits::Limits(Device& device, const std::filesystem::path& folder, bool again)
    : clock{.made_for_mhz = device.info().sm_mhz},
      device_(device),
      heading_(describe(device.info())) {
  if (folder.empty()) return;
  file_ = folder / fmt::format("limits-{:016x}.txt", hash_of(heading_));
  if (again) return;
  std::ifstream file(file_);
  std::string line;
  if (!std::getline(file, line) || line != "# " + heading_) return;
  while (std::getline(file, line)) {
    std::istringstream words(line);
    std::string key;
    double value = 0;
    if (words >> key >> value && std::isfinite(value) && value >= 0) known_[key] = value;
  }
}

// The file is whole at any moment, whoever reads it; where it can't be written, the next run
// measures again.
void Limits::write() const {
  if (file_.empty()) return;
  std::error_code ignored;
  std::filesystem::create_directories(file_.parent_path(), ignored);
  std::filesystem::path made = file_;
  made += fmt::format(".{}", getpid());
  {
    std::ofstream file(made);
    file << "# " << heading_ << '\n';
    for (const auto& [key, value] : known_) file << fmt::format("{} {}\n", key, value);
    if (!file.flush()) return;
  }
  std::filesystem::rename(made, file_, ignored);
}

double Limits::measure(const std::string& key, const std::function<double()>& measure) {
  if (const auto found = known_.find(key); found != known_.end()) return found->second;
  const Spending spending(Expense::limits);
  const HostStage stage("measuring the limits of the device");
  const double value = measure();
  known_[key] = value;
  write();
  return value;
}

void Limits::measure_usual() {
  for (const Mix mix : kUsual) bandwidth(mix.reads, mix.writes);
  for (const auto& [kind, name] : kArithmetics) arithmetic(kind);
}

double Limits::bandwidth(double bytes_read, double bytes_written) {
  const Mix mix = nearest_mix(bytes_read, bytes_written);
  return measure(fmt::format("bandwidth_{}:{}", mix.reads, mix.writes),
                 [&] { return device_.measure_bandwidth(mix); });
}

double Limits::arithmetic(Arithmetic arithmetic) {
  for (const auto& [kind, name] : kArithmetics)
    if (kind == arithmetic)
      return measure(fmt::format("flops_{}", name),
                     [&] { return device_.measure_arithmetic(arithmetic); });
  return 0;
}

double Limits::offset() {
  return measure("offset_s", [this] {
    constexpr std::size_t kSamples = 200;
    const Launch nothing = device_.nothing();
    const std::vector<TimedLaunch> launches(kSamples, {&nothing});
    device_.time(launches);  // warms up
    const double clock = median(seconds_of(device_.time(launches)));
    std::string why_not;
    std::vector<double> traced;
    for (const TracedLaunch& launch : device_.trace(launches, why_not))
      traced.push_back(launch.seconds);
    return std::max(0.0, clock - (traced.empty() ? 0 : median(traced)));
  });
}

double floor_seconds(const Cost& cost, bool cold, std::int64_t cache_bytes, Limits& limits) {
  const Traffic traffic = least_traffic(cost, cold, cache_bytes);
  const double bytes = traffic.read + traffic.written;
  return bytes > 0 ? bytes / limits.bandwidth(traffic.read, traffic.written) : 0;
}

std::string faster_than_pins(const Cost& cost, double seconds, const DeviceInfo& device) {
  if (device.pin_rate <= 0) return "";
  const Traffic traffic = least_traffic(cost, true, device.cache_bytes);
  const double bytes = traffic.read + traffic.written;
  const double least = bytes / device.pin_rate;
  if (seconds >= least) return "";
  return fmt::format(
      "cold, it took {:.3g} s, but {:.0f} bytes can't pass the memory's pins in less than {:.3g} s "
      "at {:.4g} GB/s: the cache was not cold, the clock is wrong, or the least bytes of the op "
      "are",
      seconds, bytes, least, device.pin_rate * 1e-9);
}

}  // namespace assay
