// Which contents are fetched, and that none that differ are taken for each other.
#include "harness/engine/output.h"

#include <cstring>
#include <vector>

#include "harness/testing.h"
#include "harness/testing_device.h"

namespace assay {
namespace {

// Counts downloads, and may change what it holds just before one, as work that was left running
// would.
struct Watched final : ForwardingDevice {
  int downloads = 0;
  float* late = nullptr;

  void download(void* to, const void* from, std::int64_t n) override {
    ++downloads;
    if (late) *late += 1;
    late = nullptr;
    std::memcpy(to, from, static_cast<std::size_t>(n));
  }
  Fingerprint fingerprint(const void* memory, std::int64_t n) override {
    return assay::fingerprint(memory, n);
  }
};

}  // namespace

TEST_CASE("contents that are in host memory are not fetched again") {
  Watched device;
  std::vector<float> there(1000, 1);
  Output output({"O", Role::out, DType::f32, {1000}, {1}});
  const auto holds = [](const TensorView& copy, float last) {
    return copy.as<float>()[0] == 1 && copy.as<float>()[999] == last;
  };

  output.take(device, there.data());
  output.take(device, there.data());
  CHECK(output.is_unchanged());
  CHECK(device.downloads == 1);
  there[999] = 2;
  output.take(device, there.data());
  CHECK_FALSE(output.is_unchanged());
  CHECK(device.downloads == 2);
  CHECK(holds(output.before(), 1));
  CHECK(holds(output.now(), 2));
  CHECK(output.print() == fingerprint(there.data(), 4000));

  there[999] = 1;  // what it was before: known
  output.take(device, there.data());
  CHECK_FALSE(output.is_unchanged());
  CHECK(device.downloads == 2);
  CHECK(holds(output.before(), 2));
  CHECK(holds(output.now(), 1));
  there[999] = 3;  // in place of the older one
  output.take(device, there.data());
  CHECK(device.downloads == 3);
  CHECK(holds(output.before(), 1));
  CHECK(holds(output.now(), 3));
}

TEST_CASE("contents that are kept on the device come to the host when they are looked at") {
  Watched device;
  std::vector<float> there(1000, 1);
  Output output({"O", Role::out, DType::f32, {1000}, {1}}, &device);
  output.take(device, there.data());
  there[999] = 2;
  output.take(device, there.data());
  CHECK(device.downloads == 0);
  REQUIRE(output.now_there());
  CHECK(fingerprint(output.now_there(), 4000) == fingerprint(there.data(), 4000));
  CHECK(output.value(999) == 2);  // one element
  CHECK(device.downloads == 1);
  CHECK(output.before().as<float>()[999] == 1);
  CHECK(output.now().as<float>()[999] == 2);
  CHECK(output.now().as<float>()[999] == 2);
  CHECK(device.downloads == 3);
  there[999] = 3;  // in place of the older one, which the host no longer has
  output.take(device, there.data());
  CHECK(output.now().as<float>()[999] == 3);
  CHECK(device.downloads == 4);
  CHECK(output.print() == fingerprint(there.data(), 4000));
}

TEST_CASE("contents that change between a look and the fetch are neither missed nor mixed up") {
  Watched device;
  std::vector<float> there(1000, 1);
  Output output({"O", Role::out, DType::f32, {1000}, {1}});
  device.late = &there[7];
  output.take(device, there.data());
  // The copy is known by what arrived …
  CHECK(output.print() == fingerprint(there.data(), 4000));
  CHECK(output.now().as<float>()[7] == 2);
  // … and that the device had held something else is not forgotten.
  output.take(device, there.data());
  CHECK(device.downloads == 1);
  CHECK_FALSE(output.is_unchanged());
  output.take(device, there.data());
  CHECK(output.is_unchanged());
}

}  // namespace assay
