#include "harness/core/named_memory.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <mutex>
#include <utility>
#include <vector>

namespace assay {
namespace {

// A handler reads slots while other threads change them: a name may then be wrong, never a pointer.
struct Slot {
  std::atomic<std::uintptr_t> begin{0};  // 0: free
  std::atomic<std::uintptr_t> end{0};
  char name[32] = {};
};

constexpr int kSlots = 1 << 15;  // 4096 rotated sets of eight buffers
Slot slots[kSlots];
std::atomic<int> used{0};  // from here on all are free

struct Free {
  std::mutex mutex;
  std::vector<int> slots;
};

Free& free_slots() {
  static Free& all = *new Free;
  return all;
}

}  // namespace

NamedMemory::NamedMemory(const void* begin, std::int64_t bytes, std::string_view name) : slot_(-1) {
  Free& free = free_slots();
  const std::scoped_lock lock(free.mutex);
  if (!free.slots.empty()) {
    slot_ = free.slots.back();
    free.slots.pop_back();
  } else if (used < kSlots) {
    slot_ = used++;
  } else {
    return;
  }
  Slot& slot = slots[slot_];
  const std::size_t length = std::min(name.size(), sizeof slot.name - 1);
  std::memcpy(slot.name, name.data(), length);
  slot.name[length] = 0;
  slot.end = reinterpret_cast<std::uintptr_t>(begin) + static_cast<std::uintptr_t>(bytes);
  slot.begin = reinterpret_cast<std::uintptr_t>(begin);
}

NamedMemory::NamedMemory(NamedMemory&& other) noexcept : slot_(std::exchange(other.slot_, -1)) {}

NamedMemory::~NamedMemory() {
  if (slot_ < 0) return;
  slots[slot_].begin = 0;
  Free& free = free_slots();
  const std::scoped_lock lock(free.mutex);
  free.slots.push_back(slot_);
}

NamedMemory::Place NamedMemory::nearest(std::uintptr_t address) noexcept {
  Place place{nullptr, 0, 0};
  std::uintptr_t least = std::uintptr_t{1} << 30;
  const int count = used;
  for (int i = 0; i < count; ++i) {
    const std::uintptr_t begin = slots[i].begin, end = slots[i].end;
    if (begin == 0) continue;
    // What lies after a buffer is its first byte at a distance of 1, like what lies before.
    const std::uintptr_t distance = address < begin ? begin - address
                                    : address < end ? 0
                                                    : address - end + 1;
    if (distance >= least) continue;
    least = distance;
    place = {slots[i].name, static_cast<std::int64_t>(end - begin),
             static_cast<std::int64_t>(address) - static_cast<std::int64_t>(begin)};
  }
  return place;
}

}  // namespace assay
