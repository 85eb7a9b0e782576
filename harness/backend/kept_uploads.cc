#include "harness/backend/kept_uploads.h"

#include <algorithm>
#include <utility>

#include "harness/core/error.h"

namespace assay {

void KeptUploads::upload(void* to, const void* host, std::int64_t bytes,
                         std::optional<Fingerprint>& print) {
  const auto found = std::find_if(kept_.begin(), kept_.end(), [&](const Kept& kept) {
    return kept.memory.bytes() == bytes && kept.print == print;
  });
  if (found != kept_.end()) {
    device_->copy(to, found->memory.data(), bytes);
    if (device_->fingerprint(to, bytes) == print) {
      kept_.splice(kept_.begin(), kept_, found);
      return;
    }
    held_ -= bytes;  // a kernel has written there
    kept_.erase(found);
  }
  device_->upload(to, host, bytes);
  if (!print) print = device_->fingerprint(to, bytes);
  keep(to, bytes, *print);
}

void KeptUploads::keep(const void* from, std::int64_t bytes, const Fingerprint& print) {
  if (bytes > most_) return;
  while (held_ + bytes > most_) {
    held_ -= kept_.back().memory.bytes();
    kept_.pop_back();
  }
  DeviceMemory memory;
  try {
    memory = DeviceMemory(*device_, bytes);
  } catch (const EnvironmentError&) {
    return;  // no room: it will be sent again
  }
  device_->copy(memory.data(), from, bytes);
  kept_.push_front({print, std::move(memory)});
  held_ += bytes;
}

bool KeptUploads::drop() {
  const bool any = !kept_.empty();
  kept_.clear();
  held_ = 0;
  return any;
}

}  // namespace assay
