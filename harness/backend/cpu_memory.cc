#include "harness/backend/cpu_memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <limits>
#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "harness/core/error.h"
#include "harness/core/host.h"
#include "harness/core/parallel.h"

namespace assay::cpu {
namespace {

constexpr std::int64_t kAlignment = 256;
constexpr std::int64_t kHugePage = 2 << 20;
constexpr std::int64_t kLarge = 2 * kHugePage;  // from here on huge pages and threads pay
constexpr std::int64_t kPage = 4096;

// "32768K" of the largest level that /sys describes.
std::int64_t sysfs_cache_bytes() {
  std::int64_t largest = 0;
  for (int index = 0; index < 8; ++index) {
    std::ifstream file("/sys/devices/system/cpu/cpu0/cache/index" + std::to_string(index) +
                       "/size");
    std::int64_t size = 0;
    char unit = 0;
    if (!(file >> size)) break;
    file >> unit;
    largest = std::max(largest, size * (unit == 'K' ? 1 << 10 : unit == 'M' ? 1 << 20 : 1));
  }
  return largest;
}

std::int64_t round_up(std::int64_t bytes, std::int64_t unit) {
  return (bytes + unit - 1) / unit * unit;
}

struct Fenced {  // where each block's mapping begins, and its size
  std::mutex mutex;
  std::map<void*, std::pair<void*, std::size_t>> maps;
};

Fenced& fenced() {
  static Fenced& all = *new Fenced;
  return all;
}

}  // namespace

std::int64_t last_level_cache_bytes() {
  if (const std::int64_t bytes = sysfs_cache_bytes()) return bytes;
#if defined(_SC_LEVEL3_CACHE_SIZE)
  if (const std::int64_t bytes = sysconf(_SC_LEVEL3_CACHE_SIZE); bytes > 0) return bytes;
#endif
  return 32 << 20;  // of a desktop processor, where nothing says
}

void* allocate(std::int64_t bytes) {
  const auto fail = [bytes](const std::string& why) {
    throw EnvironmentError("cannot allocate " + std::to_string(bytes) + " bytes of memory" + why);
  };
  if (bytes < 0 || bytes > std::numeric_limits<std::int64_t>::max() - kHugePage) fail("");
  const bool large = bytes >= kLarge;
  if (large) {
    // Linux promises more than it has and ends the process at the first touch: ask first.
    const std::int64_t available = available_memory();
    if (bytes > available) fail(": " + std::to_string(available) + " are available");
  }
  const std::int64_t unit = large ? kHugePage : kAlignment;
  const std::int64_t size = round_up(std::max<std::int64_t>(bytes, 1), unit);
  void* memory = std::aligned_alloc(static_cast<std::size_t>(unit), static_cast<std::size_t>(size));
  if (!memory) fail("");
  if (large) {
    prefer_huge_pages(memory, size);
    parallel_for(size, kHugePage, [memory](std::int64_t begin, std::int64_t end) {
      for (std::int64_t at = begin; at < end; at += kPage)
        static_cast<volatile char*>(memory)[at] = 0;
    });
  }
  return memory;
}

void release(void* memory) noexcept { std::free(memory); }

void* allocate_fenced(std::int64_t bytes, bool at_end) {
  const std::int64_t inside = round_up(std::max<std::int64_t>(bytes, 1), kPage);
  const auto all = static_cast<std::size_t>(inside + 2 * kPage);
  void* map = mmap(nullptr, all, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  char* begin = static_cast<char*>(map) + kPage;
  if (map == MAP_FAILED ||
      mprotect(begin, static_cast<std::size_t>(inside), PROT_READ | PROT_WRITE) != 0) {
    if (map != MAP_FAILED) munmap(map, all);
    throw EnvironmentError("cannot allocate " + std::to_string(bytes) +
                           " bytes of memory between protected pages");
  }
  char* memory = at_end ? begin + (inside - bytes) : begin;
  const std::lock_guard lock(fenced().mutex);
  fenced().maps[memory] = {map, all};
  return memory;
}

void release_fenced(void* memory) noexcept {
  const std::lock_guard lock(fenced().mutex);
  const auto found = fenced().maps.find(memory);
  if (found == fenced().maps.end()) return;
  munmap(found->second.first, found->second.second);
  fenced().maps.erase(found);
}

void copy(void* to, const void* from, std::int64_t bytes) {
  parallel_for(bytes, kLarge, [=](std::int64_t begin, std::int64_t end) {
    std::memcpy(static_cast<char*>(to) + begin, static_cast<const char*>(from) + begin,
                static_cast<std::size_t>(end - begin));
  });
}

void fill(void* memory, unsigned char byte, std::int64_t bytes) {
  parallel_for(bytes, kLarge, [=](std::int64_t begin, std::int64_t end) {
    std::memset(static_cast<char*>(memory) + begin, byte, static_cast<std::size_t>(end - begin));
  });
}

}  // namespace assay::cpu
