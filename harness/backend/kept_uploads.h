// KeptUploads sends tensors to a device and keeps what it sent there: the variants of a problem run
// one after the other on the same inputs, and device memory is far faster than the way from the
// host.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <optional>

#include "harness/backend/backend.h"

namespace assay {

class KeptUploads {
 public:
  // Holds at most so many bytes of the device's memory, what is coming included; what was used
  // longest ago goes first.
  KeptUploads(Device& device, std::int64_t most) : device_(&device), most_(most) {}

  // As Device::upload_again. Whatever became of the kept copy: what arrives from there is sent
  // again unless it has that fingerprint.
  void upload(void* to, const void* host, std::int64_t bytes, std::optional<Fingerprint>& print);

  // Memory to which somebody brings `bytes` from `host` meanwhile: upload() of the same calls
  // `wait`, and keeps it. Null: there is no room.
  void* expect(const void* host, std::int64_t bytes, std::function<void()> wait);
  // Nothing of it is on its way any more.
  void expect_nothing();

  // Gives all memory back; false if there is none.
  bool drop();

 private:
  struct Kept {
    Fingerprint print;
    DeviceMemory memory;
  };
  struct Coming {
    const void* host;
    DeviceMemory memory;
    std::function<void()> wait;
  };
  // Empty: there is no room.
  DeviceMemory make_room(std::int64_t bytes);
  std::int64_t held() const;

  Device* device_;
  std::int64_t most_;
  std::list<Kept> kept_;  // most recently used first
  std::list<Coming> coming_;
};

}  // namespace assay
