// The cpu backend: the host itself as a device. Launches run at once, on the threads of
// parallel_for.
#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "harness/backend/backend.h"
#include "harness/backend/cpu_arithmetic.h"
#include "harness/backend/cpu_bandwidth.h"
#include "harness/backend/cpu_memory.h"
#include "harness/core/error.h"
#include "harness/core/host.h"
#include "harness/core/parallel.h"
#include "harness/core/simd.h"

namespace assay {
namespace {

DeviceInfo describe() {
  DeviceInfo info;
  info.backend = Backend::cpu;
  info.name = cpu_name();
  info.memory_bytes = available_memory();
  info.cache_bytes = cpu::last_level_cache_bytes();
  info.facts = {{"threads", std::to_string(num_threads())}, {"isa", std::string(name(best_isa()))}};
  return info;
}

// Threads on half of the CPUs, doing nothing useful: those of kernels are descheduled at any
// moment.
class BusyThreads {
 public:
  BusyThreads() {
    for (int i = 0; i < (num_threads() + 1) / 2; ++i)
      threads_.emplace_back([this] {
        while (!done_.load(std::memory_order_relaxed)) {
        }
      });
  }
  ~BusyThreads() {
    done_ = true;
    for (std::thread& thread : threads_) thread.join();
  }
  BusyThreads(const BusyThreads&) = delete;
  BusyThreads& operator=(const BusyThreads&) = delete;

 private:
  std::atomic<bool> done_{false};
  std::vector<std::thread> threads_;
};

class CpuDevice final : public Device {
 public:
  const DeviceInfo& info() const override { return info_; }

  void* allocate(std::int64_t bytes) override { return cpu::allocate(bytes); }
  void release(void* memory) noexcept override { cpu::release(memory); }

  bool has_fences() const override { return true; }
  void* allocate_fenced(std::int64_t bytes, Fence fence) override {
    return cpu::allocate_fenced(bytes, fence == Fence::after);
  }
  void release_fenced(void* memory) noexcept override { cpu::release_fenced(memory); }

  void upload(void* device, const void* host, std::int64_t bytes) override {
    cpu::copy(device, host, bytes);
  }
  void download(void* host, const void* device, std::int64_t bytes) override {
    cpu::copy(host, device, bytes);
  }
  void copy(void* to, const void* from, std::int64_t bytes) override { cpu::copy(to, from, bytes); }
  void fill(void* device, unsigned char byte, std::int64_t bytes) override {
    cpu::fill(device, byte, bytes);
  }
  Fingerprint fingerprint(const void* memory, std::int64_t bytes) override {
    return assay::fingerprint(memory, bytes);
  }

  std::shared_ptr<void> contend() override { return std::make_shared<BusyThreads>(); }

  Stream stream() override { return {}; }
  void synchronize() override {}  // nothing is left running

  std::vector<Sample> time(const std::vector<TimedLaunch>& launches) override {
    using Clock = std::chrono::steady_clock;
    std::vector<Sample> samples;
    samples.reserve(launches.size());
    for (const auto& [launch, before] : launches) {
      if (before) (*before)(Stream{});
      const Clock::time_point start = Clock::now();
      (*launch)(Stream{});
      samples.push_back({.seconds = std::chrono::duration<double>(Clock::now() - start).count()});
    }
    return samples;
  }
  std::string clock() const override { return "steady_clock"; }

  double measure_bandwidth(Mix mix) override { return cpu::measure_bandwidth(mix); }
  double measure_arithmetic(Arithmetic arithmetic) override {
    return arithmetic == Arithmetic::fma_f32 ? cpu::measure_fma() : 0;
  }

 private:
  DeviceInfo info_ = describe();
};

class CpuPlatform final : public Platform {
 public:
  Backend backend() const override { return Backend::cpu; }
  std::vector<DeviceInfo> devices() override { return {describe()}; }
  std::string why_none() override { return ""; }
  std::unique_ptr<Device> open(int index) override {
    if (index != 0) {
      throw UsageError("cpu device " + std::to_string(index) + ": there is only device 0");
    }
    return std::make_unique<CpuDevice>();
  }
};

const RegisterPlatform register_cpu(std::make_unique<CpuPlatform>());

}  // namespace
}  // namespace assay
