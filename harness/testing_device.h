// A device for tests that change one thing about devices: the cpu, with everything passed on.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "harness/backend/backend.h"

namespace assay {

class ForwardingDevice : public Device {
 public:
  const DeviceInfo& info() const override { return cpu_->info(); }
  void* allocate(std::int64_t bytes) override { return cpu_->allocate(bytes); }
  void release(void* memory) noexcept override { cpu_->release(memory); }
  void* allocate_fenced(std::int64_t, Fence) override { return nullptr; }
  void release_fenced(void*) noexcept override {}
  void upload(void* to, const void* from, std::int64_t n) override { cpu_->upload(to, from, n); }
  void download(void* to, const void* from, std::int64_t n) override {
    cpu_->download(to, from, n);
  }
  void copy(void* to, const void* from, std::int64_t n) override { cpu_->copy(to, from, n); }
  void fill(void* to, unsigned char byte, std::int64_t n) override { cpu_->fill(to, byte, n); }
  Stream stream() override { return {}; }
  void synchronize() override {}
  std::vector<Sample> time(const std::vector<TimedLaunch>& launches) override {
    return cpu_->time(launches);
  }
  std::string clock() const override { return "steady_clock"; }
  double measure_bandwidth(Mix) override { return 1e9; }

 private:
  std::unique_ptr<Device> cpu_ = find_platform(Backend::cpu)->open(0);
};

}  // namespace assay
