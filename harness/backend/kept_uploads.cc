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
    kept_.erase(found);  // a kernel has written there
  }
  const auto coming = std::find_if(coming_.begin(), coming_.end(), [&](const Coming& each) {
    return each.host == host && each.memory.bytes() == bytes;
  });
  DeviceMemory memory;
  if (coming != coming_.end()) {
    coming->wait();
    memory = std::move(coming->memory);
    coming_.erase(coming);
    device_->copy(to, memory.data(), bytes);
  } else {
    device_->upload(to, host, bytes);
    memory = make_room(bytes);
    if (memory.data()) device_->copy(memory.data(), to, bytes);
  }
  if (!print) print = device_->fingerprint(to, bytes);
  if (memory.data()) kept_.push_front({*print, std::move(memory)});
}

std::int64_t KeptUploads::held() const {
  std::int64_t bytes = 0;
  for (const Kept& each : kept_) bytes += each.memory.bytes();
  for (const Coming& each : coming_) bytes += each.memory.bytes();
  return bytes;
}

DeviceMemory KeptUploads::make_room(std::int64_t bytes) {
  while (held() + bytes > most_ && !kept_.empty() && bytes <= most_) kept_.pop_back();
  if (held() + bytes > most_) return {};
  try {
    return {*device_, bytes};
  } catch (const EnvironmentError&) {
    return {};  // it will be sent again
  }
}

void* KeptUploads::expect(const void* host, std::int64_t bytes, std::function<void()> wait) {
  DeviceMemory memory = make_room(bytes);
  if (!memory.data()) return nullptr;
  return coming_.emplace_back(Coming{host, std::move(memory), std::move(wait)}).memory.data();
}

void KeptUploads::expect_nothing() { coming_.clear(); }

bool KeptUploads::drop() {
  const bool any = !kept_.empty();
  kept_.clear();
  return any;
}

}  // namespace assay
