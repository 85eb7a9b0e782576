#include "harness/backend/kept_uploads.h"

#include <catch2/catch.hpp>
#include <cstring>
#include <numeric>
#include <optional>
#include <vector>

#include "harness/core/error.h"
#include "harness/testing_device.h"

namespace assay {
namespace {

// Counts what comes from the host and knows where its memory is.
class Watched final : public ForwardingDevice {
 public:
  void* allocate(std::int64_t bytes) override {
    if (full) throw EnvironmentError("full");
    return last = ForwardingDevice::allocate(bytes);
  }
  void upload(void* to, const void* from, std::int64_t bytes) override {
    ++uploads;
    ForwardingDevice::upload(to, from, bytes);
  }
  int uploads = 0;
  void* last = nullptr;
  bool full = false;
};

std::vector<unsigned char> counted(int first) {
  std::vector<unsigned char> bytes(1024);
  std::iota(bytes.begin(), bytes.end(), static_cast<unsigned char>(first));
  return bytes;
}

struct Target {
  Watched device;
  DeviceMemory to{device, 1024};

  // Sends that; whether it arrived.
  bool send(KeptUploads& uploads, const std::vector<unsigned char>& bytes) {
    device.fill(to.data(), 0xee, 1024);
    std::optional<Fingerprint> print = fingerprint(bytes.data(), 1024);
    uploads.upload(to.data(), bytes.data(), 1024, print);
    return std::memcmp(to.data(), bytes.data(), 1024) == 0;
  }
};

}  // namespace

TEST_CASE("kept uploads: what was sent before comes from the device's memory") {
  Target target;
  KeptUploads uploads(target.device, 2048);
  CHECK(target.send(uploads, counted(0)));
  CHECK(target.send(uploads, counted(1)));
  CHECK(target.send(uploads, counted(0)));
  CHECK(target.device.uploads == 2);
  // The third takes the place of the one that was used longest ago.
  CHECK(target.send(uploads, counted(2)));
  CHECK(target.send(uploads, counted(0)));
  CHECK(target.device.uploads == 3);
  CHECK(target.send(uploads, counted(1)));
  CHECK(target.device.uploads == 4);
  CHECK(uploads.drop());
  CHECK_FALSE(uploads.drop());
  CHECK(target.send(uploads, counted(1)));
  CHECK(target.device.uploads == 5);
}

TEST_CASE("kept uploads: a copy that a kernel has overwritten is sent again") {
  Target target;
  KeptUploads uploads(target.device, 1024);
  CHECK(target.send(uploads, counted(0)));
  static_cast<unsigned char*>(target.device.last)[77] ^= 1;
  CHECK(target.send(uploads, counted(0)));
  CHECK(target.device.uploads == 2);
  CHECK(target.send(uploads, counted(0)));
  CHECK(target.device.uploads == 2);
}

TEST_CASE("kept uploads: what is sent the first time is known by what has arrived") {
  Target target;
  KeptUploads uploads(target.device, 1024);
  const std::vector<unsigned char> bytes = counted(0);
  std::optional<Fingerprint> print;
  uploads.upload(target.to.data(), bytes.data(), 1024, print);
  CHECK((print && *print == fingerprint(bytes.data(), 1024)));
  uploads.upload(target.to.data(), bytes.data(), 1024, print);
  CHECK(target.device.uploads == 1);
}

TEST_CASE("kept uploads: without room everything is sent") {
  Target target;
  KeptUploads small(target.device, 1000);
  CHECK(target.send(small, counted(0)));
  CHECK(target.send(small, counted(0)));
  CHECK(target.device.uploads == 2);
  KeptUploads full(target.device, 4096);
  target.device.full = true;
  CHECK(target.send(full, counted(0)));
  CHECK(target.send(full, counted(0)));
  CHECK(target.device.uploads == 4);
}

TEST_CASE("kept uploads: what is on its way is waited for, and kept") {
  Target target;
  KeptUploads uploads(target.device, 2048);
  const std::vector<unsigned char> bytes = counted(3), others = counted(4);
  bool waited = false;
  void* const to = uploads.expect(bytes.data(), 1024, [&] {
    waited = true;
    std::memcpy(target.device.last, bytes.data(), 1024);
  });
  REQUIRE(to == target.device.last);

  SECTION("") {
    std::optional<Fingerprint> print;
    uploads.upload(target.to.data(), bytes.data(), 1024, print);
    CHECK(waited);
    CHECK(std::memcmp(target.to.data(), bytes.data(), 1024) == 0);
    CHECK((print && *print == fingerprint(bytes.data(), 1024)));
    uploads.expect_nothing();  // it has come
    CHECK(target.send(uploads, bytes));
    CHECK(target.device.uploads == 0);
  }
  SECTION("not for other memory, beside which it has its place") {
    CHECK(target.send(uploads, others));
    CHECK(target.send(uploads, counted(5)));
    CHECK(target.send(uploads, others));
    CHECK_FALSE(waited);
    CHECK(target.device.uploads == 3);
  }
  SECTION("unless it is expected no more") {
    uploads.expect_nothing();
    CHECK(target.send(uploads, bytes));
    CHECK_FALSE(waited);
    CHECK(target.device.uploads == 1);
  }
  SECTION("no more than there is room for") {
    CHECK(uploads.expect(others.data(), 1024, [] {}) != nullptr);
    CHECK(uploads.expect(others.data(), 1, [] {}) == nullptr);
    CHECK_FALSE(uploads.drop());  // it is not to be had back yet
  }
}

}  // namespace assay
