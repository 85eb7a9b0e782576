#include "harness/engine/rotation.h"

#include <algorithm>

#include "harness/core/black_box.h"
#include "harness/core/error.h"
#include "harness/core/spending.h"
#include "harness/engine/judge.h"

namespace assay {
namespace {

constexpr int kWarmUps = 3;  // module load, page faults, clocks
constexpr std::int64_t kMaxSets = 4096;

}  // namespace

std::int64_t rotation_sets(std::int64_t set_bytes, std::int64_t cache_bytes,
                           std::int64_t memory_bytes) {
  const std::int64_t wanted =
      std::max<std::int64_t>(2, (3 * cache_bytes + set_bytes - 1) / set_bytes);
  return std::max<std::int64_t>(1, std::min({wanted, memory_bytes / set_bytes, kMaxSets}));
}

Rotation::Rotation(const Problem& problem, const Variant& variant, Device& device, BufferSet& first,
                   std::int64_t memory_bytes)
    : device_(&device), sets_({&first}) {
  const Spending spending(Expense::memory);
  const std::int64_t set_bytes = BufferSet::bytes_needed(variant, problem);
  const std::int64_t count = rotation_sets(set_bytes, device.info().cache_bytes, memory_bytes);
  // Thousands of small sets would spend more time on their allocations than on anything else.
  constexpr std::int64_t kSmall = 1 << 20;
  const std::int64_t stride = BufferSet::bytes_allocated(variant, problem);
  if (stride <= kSmall && count > 1) {
    slab_ = DeviceMemory(device, (count - 1) * stride);
    device.fill(slab_.data(), BufferSet::kFilling, slab_.bytes());
  }
  for (std::int64_t i = 1; i < count; ++i) {
    Placement placement;
    if (slab_.data()) placement.within = static_cast<std::byte*>(slab_.data()) + (i - 1) * stride;
    further_.push_back(std::make_unique<BufferSet>(device, variant, problem, placement));
    sets_.push_back(further_.back().get());
    sets_.back()->copy_inputs_from(first);
  }
  {
    const Spending warming_up(Expense::timing);
    const KernelStage stage("warming up", kWarmUps);
    for (int i = 0; i < kWarmUps; ++i)
      sets_[static_cast<std::size_t>(i) % sets_.size()]->launch()(device.stream());
    device.synchronize();
  }
  for (BufferSet* set : sets_) set->poison(kPoisons[0]);
}

Rotation::~Rotation() {
  const Spending spending(Expense::memory);
  graph_ = nullptr;
  further_.clear();
  slab_ = {};
}

std::vector<TimedLaunch> Rotation::next(int n) {
  // What is updated in place is restored half a rotation before it is used, so that it is out of
  // the cache by then.
  const std::size_t ahead = sets_.size() / 2;
  std::vector<TimedLaunch> launches;
  for (int i = 0; i < n; ++i) {
    launches.push_back({&sets_[next_]->launch(), sets_[(next_ + ahead) % sets_.size()]->restore()});
    next_ = (next_ + 1) % sets_.size();
  }
  return launches;
}

std::vector<Sample> Rotation::time_cold(int n) {
  const KernelStage stage("timing, cold", n);
  const std::vector<TimedLaunch> launches = next(n);
  last_ = sets_[(next_ + sets_.size() - 1) % sets_.size()];
  return device_->time(launches);
}

std::vector<Sample> Rotation::time_hot(int n) {
  const KernelStage stage("timing, hot", n);
  BufferSet& set = *sets_[next_];
  last_ = &set;
  return device_->time(
      std::vector<TimedLaunch>(static_cast<std::size_t>(n), {&set.launch(), set.restore()}));
}

bool Rotation::record_graph(std::string& why_not) {
  if (sets_.front()->restore() != nullptr) return false;
  std::vector<const Launch*> launches;
  for (const BufferSet* set : sets_) launches.push_back(&set->launch());
  try {
    graph_ = device_->record(launches);
  } catch (const DeviceLost&) {
    throw;
  } catch (const EnvironmentError& error) {
    why_not = std::string("not timed as a graph: ") + error.what();
  }
  return static_cast<bool>(graph_);
}

std::vector<Sample> Rotation::time_graph(int n) {
  const KernelStage stage("timing, as a graph", n * static_cast<int>(sets_.size()));
  last_ = sets_.back();
  next_ = 0;
  std::vector<Sample> samples =
      device_->time(std::vector<TimedLaunch>(static_cast<std::size_t>(n), {&graph_}));
  for (Sample& sample : samples) sample.seconds /= static_cast<double>(sets_.size());
  return samples;
}

}  // namespace assay
