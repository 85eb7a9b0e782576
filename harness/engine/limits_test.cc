#include "harness/engine/limits.h"

#include <cmath>
#include <fstream>
#include <thread>

#include "harness/testing.h"
#include "harness/testing_device.h"
#include "harness/testing_program.h"

namespace assay {
namespace {

// Reads twice as fast as it writes, and counts how often it is asked.
struct Measured final : ForwardingDevice {
  int asked = 0;
  double measure_arithmetic(Arithmetic arithmetic) override {
    ++asked;
    return arithmetic == Arithmetic::fma_f32      ? 6e13
           : arithmetic == Arithmetic::matrix_f16 ? 7e14
                                                  : 0;
  }
  double measure_bandwidth(Mix mix) override {
    ++asked;
    return 1e9 * (mix.reads + mix.writes) / (mix.reads + 2.0 * mix.writes);
  }
};

// A clock that reads 3 µs for nothing, of which a second clock sees 1.
struct TwoClocks final : ForwardingDevice {
  bool has_second = true;
  std::vector<Sample> time(const std::vector<TimedLaunch>& launches) override {
    return std::vector<Sample>(launches.size(), {.seconds = 3e-6});
  }
  std::vector<TracedLaunch> trace(const std::vector<TimedLaunch>& launches,
                                  std::string& why_not) override {
    if (has_second) return std::vector<TracedLaunch>(launches.size(), {.seconds = 1e-6});
    why_not = "none";
    return {};
  }
};

}  // namespace

TEST_CASE("limits are measured once, and known to the next run", "[limits]") {
  const Folder folder;
  Measured device;
  {
    Limits limits(device, folder / "cache");
    CHECK(limits.bandwidth(10, 0) == 1e9);
    CHECK(limits.bandwidth(20, 0) == 1e9);
    CHECK(device.asked == 1);
  }
  Limits again(device, folder / "cache");
  CHECK(again.bandwidth(1, 0) == 1e9);
  CHECK(device.asked == 1);
  CHECK(again.bandwidth(0, 1) == 0.5e9);
  CHECK(device.asked == 2);
  Limits on_request(device, folder / "cache", true);
  CHECK(on_request.bandwidth(1, 0) == 1e9);
  CHECK(device.asked == 3);
}

TEST_CASE("what arithmetic reaches is kept, also that there is none", "[limits]") {
  const Folder folder;
  Measured device;
  for (int run = 0; run < 2; ++run) {
    Limits limits(device, folder / "cache");
    CHECK(limits.arithmetic(Arithmetic::fma_f32) == 6e13);
    CHECK(limits.arithmetic(Arithmetic::matrix_f16) == 7e14);
    CHECK(limits.arithmetic(Arithmetic::matrix_bf16) == 0);
    CHECK(device.asked == 3);
  }
}

TEST_CASE("a file of limits that is damaged or not to be had is as good as none", "[limits]") {
  const Folder folder;
  Measured device;
  Limits(device, folder / "cache").bandwidth(1, 0);
  for (const auto& entry : std::filesystem::directory_iterator(folder / "cache"))
    std::ofstream(entry.path()) << "# another device\nbandwidth_1:0 7\n";
  CHECK(Limits(device, folder / "cache").bandwidth(1, 0) == 1e9);
  CHECK(Limits(device, "").bandwidth(1, 0) == 1e9);
  CHECK(Limits(device, "/proc/none").bandwidth(1, 0) == 1e9);
  CHECK(device.asked == 4);
}

TEST_CASE("the offset of the clock is what a second one does not see", "[limits]") {
  TwoClocks device;
  CHECK(std::abs(Limits(device, "").offset() - 2e-6) < 1e-12);
  device.has_second = false;
  CHECK(Limits(device, "").offset() == 3e-6);
}

TEST_CASE("the floor of a cold case leaves the cache what is written last", "[limits]") {
  Measured device;
  Limits limits(device, "");
  const Cost cost = {.bytes_read = 9e9, .bytes_written = 1e9};
  CHECK(floor_seconds(cost, false, 100, limits) == 11.0);  // 9 s of reads, 2 s of writes
  CHECK(floor_seconds(cost, true, 2'000'000'000, limits) == 9.0);
  CHECK(floor_seconds({}, true, 100, limits) == 0);
}

TEST_CASE("no time is shorter than the pins allow", "[limits]") {
  DeviceInfo device;
  const Cost cost = {.bytes_read = 2e9, .bytes_written = 1e9};
  CHECK(faster_than_pins(cost, 1e-9, device).empty());  // not known
  device.pin_rate = 1e9;
  CHECK(faster_than_pins(cost, 3.001, device).empty());
  CHECK(contains(faster_than_pins(cost, 2.5, device),
                 "3000000000 bytes can't pass the memory's pins in less than 3 s"));
  device.cache_bytes = 1'000'000'000;
  CHECK(faster_than_pins(cost, 2.5, device).empty());
}

}  // namespace assay
