// KeptUploads sends tensors to a device and keeps what it sent there: the variants of a problem run
// one after the other on the same inputs, and device memory is far faster than the way from the
// host.
#pragma once

#include <cstdint>
#include <list>
#include <optional>

#include "harness/backend/backend.h"

namespace assay {

class KeptUploads {
 public:
  // Holds at most so many bytes of the device's memory; what was used longest ago goes first.
  KeptUploads(Device& device, std::int64_t most) : device_(&device), most_(most) {}

  // As Device::upload_again. Whatever became of the kept copy: what arrives from there is sent
  // again unless it has that fingerprint.
  void upload(void* to, const void* host, std::int64_t bytes, std::optional<Fingerprint>& print);

  // Gives all memory back; false if there is none.
  bool drop();

 private:
  struct Kept {
    Fingerprint print;
    DeviceMemory memory;
  };
  void keep(const void* from, std::int64_t bytes, const Fingerprint& print);

  Device* device_;
  std::int64_t most_, held_ = 0;
  std::list<Kept> kept_;  // most recently used first
};

}  // namespace assay
