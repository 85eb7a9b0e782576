// The simt backend: CUDA sources on the CPU, thread by thread (kernels/simt). It verifies and is
// never timed. Device 0 imitates sm_90, device 1 sm_80: what they offer a block differs.
#include <string>

#include "harness/backend/backend.h"
#include "harness/backend/cpu_memory.h"
#include "harness/core/error.h"
#include "harness/core/host.h"
#include "harness/core/parallel.h"
#include "kernels/simt/launch.h"
#include "kernels/simt/memory.h"

namespace assay {
namespace {

constexpr int kArchitectures[] = {90, 80};

DeviceInfo describe(int index) {
  const executor::DeviceModel model = executor::device_model(kArchitectures[index]);
  DeviceInfo info;
  info.backend = Backend::simt;
  info.index = index;
  info.arch = model.arch;
  info.name = "simt sm_" + std::to_string(model.arch) + " on " + cpu_name();
  // The race checker keeps cells of 64 bytes for all that kernels write, in the worst case one to a
  // byte.
  info.memory_bytes = available_memory() / (executor::flavour() == "race" ? 128 : 1);
  info.cache_bytes = cpu::last_level_cache_bytes();
  info.facts = {
      {"checks", executor::flavour() == "race"      ? "races, uninitialised reads, bounds"
                 : executor::flavour() == "address" ? "address and undefined-behaviour sanitizers"
                                                    : "bounds of writes, alignment, divergence"},
      {"multiprocessors", std::to_string(model.multiprocessors)},
      {"shared memory a block", std::to_string(model.shared_per_block)},
      {"threads", std::to_string(num_threads())}};
  return info;
}

class SimtDevice final : public Device {
 public:
  explicit SimtDevice(int index) : info_(describe(index)) {
    executor::settings().device = executor::device_model(info_.arch);
  }

  const DeviceInfo& info() const override { return info_; }

  void* allocate(std::int64_t bytes) override {
    void* memory = cpu::allocate(bytes);
    executor::add_allocation(memory, bytes);
    return memory;
  }
  void release(void* memory) noexcept override {
    executor::remove_allocation(memory);
    cpu::release(memory);
  }
  // The other flavours see every access themselves, and a fault would end them without a word.
  bool has_fences() const override { return executor::flavour() == "plain"; }
  void* allocate_fenced(std::int64_t bytes, Fence fence) override {
    void* memory = cpu::allocate_fenced(bytes, fence == Fence::after);
    executor::add_allocation(memory, bytes);
    return memory;
  }
  void release_fenced(void* memory) noexcept override {
    executor::remove_allocation(memory);
    cpu::release_fenced(memory);
  }

  void name_buffer(void* memory, std::int64_t bytes, const std::string& name,
                   bool writable) override {
    executor::add_buffer(memory, bytes, name, writable);
  }

  void upload(void* device, const void* host, std::int64_t bytes) override {
    executor::copy(device, host, bytes);
  }
  void download(void* host, const void* device, std::int64_t bytes) override {
    executor::copy(host, device, bytes);
  }
  void copy(void* to, const void* from, std::int64_t bytes) override {
    executor::copy(to, from, bytes);
  }
  void fill(void* device, unsigned char byte, std::int64_t bytes) override {
    executor::fill(device, byte, bytes);
  }

  Stream stream() override { return {}; }
  void synchronize() override {}  // launches return when they are done

  std::vector<std::string> schedules() const override {
    std::vector<std::string> names;
    for (const executor::Schedule schedule : executor::kSchedules)
      names.emplace_back(executor::name(schedule));
    return names;
  }
  void use_schedule(const Execution& execution) override {
    executor::Settings& settings = executor::settings();
    for (const executor::Schedule schedule : executor::kSchedules) {
      if (executor::name(schedule) == execution.schedule) settings.schedule = schedule;
    }
    settings.seed = execution.seed;
    settings.timeout = execution.timeout;
    settings.trace = execution.trace_block;
  }

  std::vector<Sample> time(const std::vector<TimedLaunch>&) override {
    throw EnvironmentError("the simt backend verifies and is never timed");
  }
  std::string clock() const override { return ""; }
  double measure_bandwidth(Mix) override {
    throw EnvironmentError("the simt backend is never timed");
  }

 private:
  DeviceInfo info_;
};

class SimtPlatform final : public Platform {
 public:
  Backend backend() const override { return Backend::simt; }
  std::vector<DeviceInfo> devices() override { return {describe(0), describe(1)}; }
  std::string why_none() override { return ""; }
  std::unique_ptr<Device> open(int index) override { return std::make_unique<SimtDevice>(index); }
};

const RegisterPlatform kSimtPlatform(std::make_unique<SimtPlatform>());

}  // namespace
}  // namespace assay
