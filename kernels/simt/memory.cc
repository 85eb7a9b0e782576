#include "kernels/simt/memory.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <iterator>
#include <map>
#include <vector>

#include "kernels/simt/flavour.h"
#include "kernels/simt/race.h"

#if ASSAY_SIMT_ADDRESS
#include <sanitizer/asan_interface.h>
#endif

namespace assay::executor {
namespace {

struct Allocation {
  std::uintptr_t end;
  std::vector<Buffer> buffers;  // by address
};

std::map<std::uintptr_t, Allocation>& allocations() {
  static std::map<std::uintptr_t, Allocation> all;
  return all;
}

std::atomic<std::uint64_t> changes{1};  // of the buffers, so far

std::uintptr_t number(const void* address) { return reinterpret_cast<std::uintptr_t>(address); }

const std::pair<const std::uintptr_t, Allocation>* allocation_of(std::uintptr_t address) {
  // Kernels stay with one allocation, or one gap between two, for long. The map does not change
  // while they run, but for its own next kernel.
  struct Latest {
    std::uint64_t as_of = 0;
    std::uintptr_t begin = 0, end = 0;
    const std::pair<const std::uintptr_t, Allocation>* found = nullptr;
  };
  thread_local Latest latest;
  if (latest.as_of == changes && address >= latest.begin && address < latest.end)
    return latest.found;
  const auto& all = allocations();
  const auto next = all.upper_bound(address);
  latest = {changes, 0, next == all.end() ? UINTPTR_MAX : next->first, nullptr};
  if (next == all.begin()) return nullptr;
  const auto& before = *std::prev(next);
  latest.begin = before.second.end;
  if (address < before.second.end) latest = {changes, before.first, before.second.end, &before};
  return latest.found;
}

// The last buffer that begins at or before the address, else the first.
const Buffer* nearest(const Allocation& allocation, std::uintptr_t address) {
  const auto& buffers = allocation.buffers;
  if (buffers.empty()) return nullptr;
  auto after = std::upper_bound(buffers.begin(), buffers.end(), address,
                                [](std::uintptr_t a, const Buffer& b) { return a < b.begin; });
  if (after == buffers.begin()) return &*after;
  // Between two buffers: the nearer one is meant.
  const Buffer& before = *(after - 1);
  if (after != buffers.end() && address >= before.end &&
      after->begin - address < address - before.end)
    return &*after;
  return &before;
}

void allow(const void* memory, std::size_t bytes, bool allowed) {
#if ASSAY_SIMT_ADDRESS
  if (allowed) {
    __asan_unpoison_memory_region(memory, bytes);
  } else {
    __asan_poison_memory_region(memory, bytes);
  }
#else
  static_cast<void>(memory), static_cast<void>(bytes), static_cast<void>(allowed);
#endif
}

// For the host, which looks at what lies between the buffers: without the sanitizer's eyes.
__attribute__((no_sanitize("address"), noinline)) void copy_bytes(char* to, const char* from,
                                                                  std::size_t bytes) {
  for (std::size_t i = 0; i < bytes; ++i) {
    to[i] = from[i];
    __asm__ volatile("" ::: "memory");  // no call of memcpy, which looks, too
  }
}

bool in_buffer(const void* memory, std::int64_t bytes) {
  const auto* allocation = allocation_of(number(memory));
  if (allocation == nullptr || allocation->second.buffers.empty()) return true;
  const Buffer* buffer = nearest(allocation->second, number(memory));
  return number(memory) >= buffer->begin &&
         number(memory) + static_cast<std::uintptr_t>(bytes) <= buffer->end;
}

}  // namespace

void add_allocation(void* memory, std::int64_t bytes) {
  allocations()[number(memory)] = {number(memory) + static_cast<std::uintptr_t>(bytes), {}};
  ++changes;
}

void remove_allocation(void* memory) {
  const auto found = allocations().find(number(memory));
  if (found == allocations().end()) return;
  for (const Buffer& buffer : found->second.buffers) {
    if (buffer.region != nullptr) race::forget(buffer.region);
  }
  allow(memory, found->second.end - found->first, true);
  allocations().erase(found);
  ++changes;
}

void add_buffer(void* memory, std::int64_t bytes, const std::string& name, bool writable) {
  auto next = allocations().upper_bound(number(memory));
  if (next == allocations().begin()) return;
  Allocation& allocation = (--next)->second;
  if (allocation.buffers.empty()) {
    allow(static_cast<char*>(memory) - (number(memory) - next->first), allocation.end - next->first,
          false);
  }
  const auto size = static_cast<std::size_t>(bytes);
  allow(memory, size, true);
  race::Region* region = writable ? race::watch(memory, bytes) : nullptr;
  allocation.buffers.push_back({number(memory), number(memory) + size, name, writable, region});
  ++changes;
  std::sort(allocation.buffers.begin(), allocation.buffers.end(),
            [](const Buffer& a, const Buffer& b) { return a.begin < b.begin; });
}

void fill(void* memory, unsigned char byte, std::int64_t bytes) {
  if (in_buffer(memory, bytes)) {
    std::memset(memory, byte, static_cast<std::size_t>(bytes));
    race::host_wrote(memory, bytes, false);
    return;
  }
  const std::vector<char> source(static_cast<std::size_t>(bytes), static_cast<char>(byte));
  copy_bytes(static_cast<char*>(memory), source.data(), source.size());
}

void copy(void* to, const void* from, std::int64_t bytes) {
  if (!in_buffer(to, bytes) || !in_buffer(from, bytes)) {
    return copy_bytes(static_cast<char*>(to), static_cast<const char*>(from),
                      static_cast<std::size_t>(bytes));
  }
  std::memcpy(to, from, static_cast<std::size_t>(bytes));
  race::host_wrote(to, bytes, true);
}

std::string describe_global(const void* address) {
  const auto* allocation = allocation_of(number(address));
  if (allocation == nullptr) return "";
  const Buffer* buffer = nearest(allocation->second, number(address));
  if (buffer == nullptr) {
    return "byte " + std::to_string(number(address) - allocation->first) + " of an allocation of " +
           std::to_string(allocation->second.end - allocation->first) + " bytes";
  }
  const std::string called = "`" + buffer->name + "`";
  if (number(address) < buffer->begin)
    return std::to_string(buffer->begin - number(address)) + " bytes before " + called;
  if (number(address) >= buffer->end) {
    const std::uintptr_t past = number(address) - buffer->end;
    return (past == 0 ? "the first byte" : std::to_string(past) + " bytes") + " after " + called;
  }
  return called + ", byte " + std::to_string(number(address) - buffer->begin);
}

const Buffer* buffer_with(const void* address, int bytes) {
  // The latest ones of this OS thread; each has a kernel's few buffers.
  struct Recent {
    const Buffer* buffers[4] = {};
    std::uint64_t as_of = 0;
    unsigned next = 0;
  };
  thread_local Recent recent;
  const std::uintptr_t begin = number(address), end = begin + static_cast<std::uintptr_t>(bytes);
  if (recent.as_of != changes.load(std::memory_order_relaxed)) recent = {{}, changes, 0};
  for (const Buffer* buffer : recent.buffers) {
    if (buffer != nullptr && begin >= buffer->begin && end <= buffer->end) return buffer;
  }
  const auto* allocation = allocation_of(begin);
  if (allocation == nullptr || allocation->second.buffers.empty()) return nullptr;
  const Buffer* buffer = nearest(allocation->second, begin);
  if (begin < buffer->begin || end > buffer->end) return nullptr;
  recent.buffers[recent.next++ % 4] = buffer;
  return buffer;
}

Verdict check_global(const void* address, int bytes, bool writes) {
  const auto* allocation = allocation_of(number(address));
  if (allocation == nullptr || allocation->second.buffers.empty()) return {};
  const Buffer* buffer = nearest(allocation->second, number(address));
  const std::uintptr_t end = number(address) + static_cast<std::uintptr_t>(bytes);
  if (number(address) < buffer->begin || end > buffer->end) {
    return {buffer, describe_global(address) + " (which has " +
                        std::to_string(buffer->end - buffer->begin) + " bytes)"};
  }
  if (writes && !buffer->writable) return {buffer, "`" + buffer->name + "` is an input"};
  return {buffer, {}};
}

}  // namespace assay::executor
