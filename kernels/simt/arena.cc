// Shared memory of a block: see Arena in block.h.
#include <sys/mman.h>

#include <cstring>
#include <new>

#include "kernels/simt/block.h"

#if ASSAY_SIMT_ADDRESS
#include <sanitizer/asan_interface.h>
#define ASSAY_POISON(memory, bytes) __asan_poison_memory_region(memory, bytes)
#define ASSAY_UNPOISON(memory, bytes) __asan_unpoison_memory_region(memory, bytes)
#else
#define ASSAY_POISON(memory, bytes) static_cast<void>(0)
#define ASSAY_UNPOISON(memory, bytes) static_cast<void>(0)
#endif

namespace assay::executor {

namespace {
constexpr std::size_t kRedZone = 256;
constexpr unsigned char kRed = 0xcb;
constexpr unsigned char kUndefined = 0xff;
}  // namespace

Arena::Arena()
    : memory_(static_cast<char*>(mmap(nullptr, kBytes, PROT_READ | PROT_WRITE,
                                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0))) {
  if (memory_ == MAP_FAILED) throw std::bad_alloc();
}

Arena::~Arena() {
  ASSAY_UNPOISON(memory_, kBytes);
  munmap(memory_, kBytes);
}

void Arena::reset() {
  ASSAY_UNPOISON(memory_, end_ + kRedZone);
  slots_.clear();
  std::memset(memory_, kRed, kRedZone);
  ASSAY_POISON(memory_, kRedZone);
  end_ = kRedZone;
  used_ = 0;
}

char* Arena::allocate(const SharedVariable* variable, std::size_t bytes, std::size_t alignment) {
  const std::size_t begin = (end_ + alignment - 1) / alignment * alignment;
  const std::size_t next = begin + bytes + kRedZone;
  if (next + kRedZone > kBytes) return nullptr;
  ASSAY_UNPOISON(memory_ + end_, next - end_);
  std::memset(memory_ + end_, kRed, begin - end_);
  std::memset(memory_ + begin, kUndefined, bytes);
  std::memset(memory_ + begin + bytes, kRed, kRedZone);
  ASSAY_POISON(memory_ + end_, begin - end_);
  ASSAY_POISON(memory_ + begin + bytes, kRedZone);
  end_ = next;
  used_ += static_cast<std::int64_t>(bytes);
  slots_.push_back(
      {variable, static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(bytes)});
  return memory_ + begin;
}

char* Arena::find(const SharedVariable* variable) const {
  for (const Slot& slot : slots_) {
    if (slot.variable == variable) return memory_ + slot.begin;
  }
  return nullptr;
}

const Arena::Slot* Arena::slot_at(std::uint32_t offset) const {
  for (const Slot& slot : slots_) {
    if (offset >= slot.begin && offset < slot.begin + slot.bytes) return &slot;
  }
  return nullptr;
}

std::string Arena::describe(std::uint32_t offset) const {
  const auto name = [](const Slot& slot) {
    return slot.variable ? "shared `" + std::string(slot.variable->name) + "`"
                         : std::string("dynamic shared memory");
  };
  if (const Slot* slot = slot_at(offset))
    return name(*slot) + ", byte " + std::to_string(offset - slot->begin);
  const Slot* nearest = nullptr;
  std::uint32_t least = UINT32_MAX;
  const auto distance = [&](const Slot& s) {
    return offset < s.begin ? s.begin - offset : offset - s.begin - s.bytes + 1;
  };
  for (const Slot& slot : slots_) {
    if (distance(slot) < least) nearest = &slot, least = distance(slot);
  }
  if (nearest == nullptr) return "shared memory that the launch does not have";
  return std::to_string(least) + " bytes " +
         (offset < nearest->begin ? "before " : "beyond the end of ") + name(*nearest) +
         " (which has " + std::to_string(nearest->bytes) + " bytes)";
}

std::int64_t Arena::overwritten() const {
  if (kAddress) return -1;  // seen as it happens
  std::size_t from = 0;
  const auto scan = [&](std::size_t to) -> std::int64_t {
    for (std::size_t i = from; i < to; ++i) {
      if (static_cast<unsigned char>(memory_[i]) != kRed) return static_cast<std::int64_t>(i);
    }
    return -1;
  };
  for (const Slot& slot : slots_) {
    if (const std::int64_t at = scan(slot.begin); at >= 0) return at;
    from = slot.begin + slot.bytes;
  }
  return scan(end_);
}

}  // namespace assay::executor
