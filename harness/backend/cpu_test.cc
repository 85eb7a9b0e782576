#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "harness/backend/backend.h"
#include "harness/backend/cpu_bandwidth.h"
#include "harness/core/error.h"
#include "harness/core/parallel.h"
#include "harness/testing.h"

namespace assay {
namespace {

std::unique_ptr<Device> open_cpu() { return find_platform(Backend::cpu)->open(0); }

TEST_CASE("the cpu is a platform with one device", "[cpu]") {
  Platform* platform = find_platform(Backend::cpu);
  REQUIRE(platform);
  const std::vector<DeviceInfo> devices = platform->devices();
  REQUIRE(devices.size() == 1);
  CHECK(devices[0].backend == Backend::cpu);
  CHECK_FALSE(devices[0].name.empty());
  CHECK(devices[0].memory_bytes > 0);
  CHECK(devices[0].cache_bytes >= 256 << 10);
  CHECK_THROWS_AS(platform->open(1), UsageError);
}

TEST_CASE("cpu memory is aligned, copied and filled to the last byte", "[cpu]") {
  const auto device = open_cpu();
  for (const std::int64_t bytes :
       {std::int64_t{1}, std::int64_t{4097}, (std::int64_t{9} << 20) + 3}) {
    const DeviceMemory a(*device, bytes), b(*device, bytes);
    CHECK(reinterpret_cast<std::uintptr_t>(a.data()) % 256 == 0);
    std::vector<unsigned char> host(static_cast<std::size_t>(bytes)), back(host.size());
    for (std::size_t i = 0; i < host.size(); ++i) host[i] = static_cast<unsigned char>(i * 31 + 7);
    device->upload(a.data(), host.data(), bytes);
    device->copy(b.data(), a.data(), bytes);
    device->download(back.data(), b.data(), bytes);
    CHECK(std::memcmp(host.data(), back.data(), host.size()) == 0);
    device->fill(b.data(), 0xA5, bytes);
    device->download(back.data(), b.data(), bytes);
    CHECK(back == std::vector<unsigned char>(host.size(), 0xA5));
  }
}

TEST_CASE("an allocation that can't be had names its bytes", "[cpu]") {
  const auto device = open_cpu();
  try {
    device->allocate(std::int64_t{1} << 60);
    FAIL("allocated 2^60 bytes");
  } catch (const EnvironmentError& error) {
    CHECK(std::string(error.what()).find("1152921504606846976 bytes") != std::string::npos);
  }
  CHECK_THROWS_AS(device->allocate(std::numeric_limits<std::int64_t>::max()), EnvironmentError);
  CHECK_THROWS_AS(device->allocate(-1), EnvironmentError);
}

TEST_CASE("launches are timed one by one", "[cpu]") {
  const auto device = open_cpu();
  volatile std::int64_t counter = 0;
  const Launch brief = [](Stream) {};
  const Launch lengthy = [&](Stream) {
    for (int i = 0; i < 20'000'000; ++i) counter = counter + 1;
  };
  const std::vector<Sample> samples = device->time({{&brief}, {&lengthy}, {&brief}});
  REQUIRE(samples.size() == 3);
  CHECK(samples[1].seconds > samples[0].seconds);
  CHECK(samples[1].seconds > samples[2].seconds);
  CHECK(counter == 20'000'000);
  CHECK(device->clock() == "steady_clock");
}

TEST_CASE("the mix of arrays nearest to a ratio of bytes", "[cpu]") {
  CHECK(nearest_mix(9, 1) == Mix{9, 1});
  CHECK(nearest_mix(10, 6) == Mix{5, 3});
  CHECK(nearest_mix(1, 0) == Mix{1, 0});
  CHECK(nearest_mix(0, 1) == Mix{0, 1});
  CHECK(nearest_mix(9.0001e6, 1e6) == Mix{9, 1});
  CHECK(nearest_mix(1000, 1) == Mix{1, 0});
  CHECK(nearest_mix(0, 0) == Mix{1, 0});
}

TEST_CASE("arithmetic is plausible, and there are no matrix units", "[cpu]") {
  const auto device = open_cpu();
  const double rate = device->measure_arithmetic(Arithmetic::fma_f32);
  // A lane at 100 MHz at least; two units of the widest vectors at 10 GHz at most.
  CHECK(rate > 2e8 * num_threads());
  CHECK(rate < 2 * 2 * 16 * 1e10 * num_threads());
  CHECK(device->measure_arithmetic(Arithmetic::matrix_bf16) == 0);
}

TEST_CASE("bandwidth is plausible", "[cpu]") {
  const double copy = open_cpu()->measure_bandwidth({1, 1});
  CHECK(copy > 1e8);
  CHECK(copy < 1e13);
}

}  // namespace
}  // namespace assay
