#include "harness/core/host.h"

#include <sys/mman.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>
#include <optional>
#include <system_error>

namespace assay {
namespace {

constexpr std::int64_t kUnknown = std::numeric_limits<std::int64_t>::max();

std::optional<std::int64_t> read_number(const char* path) {
  std::ifstream file(path);
  std::int64_t number = 0;
  if (file >> number) return number;
  return std::nullopt;  // no such file, or "max"
}

std::int64_t meminfo_available() {
  std::ifstream file("/proc/meminfo");
  std::string line;
  for (std::string key; file >> key; std::getline(file, line)) {
    std::int64_t kib = 0;
    if (key == "MemAvailable:" && file >> kib) return kib * 1024;
  }
  return kUnknown;
}

std::int64_t granted_by_control_group() {
  struct Files {
    const char* limit;
    const char* used;
  };
  constexpr Files kFiles[] = {
      {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"},
      {"/sys/fs/cgroup/memory/memory.limit_in_bytes",
       "/sys/fs/cgroup/memory/memory.usage_in_bytes"},
  };
  for (const Files& files : kFiles)
    if (const auto limit = read_number(files.limit))
      return std::max<std::int64_t>(0, *limit - read_number(files.used).value_or(0));
  return kUnknown;
}

}  // namespace

std::int64_t available_memory() {
  const std::int64_t available = std::min(meminfo_available(), granted_by_control_group());
  if (available != kUnknown) return available;
  return static_cast<std::int64_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE);
}

void prefer_huge_pages(void* memory, std::int64_t bytes) {
  constexpr std::uintptr_t kPage = 4096;
  if (bytes < kLargeBlock) return;
  const auto address = reinterpret_cast<std::uintptr_t>(memory);
  const std::uintptr_t before = (kPage - address % kPage) % kPage;  // to the first whole page
  const std::uintptr_t whole = (static_cast<std::uintptr_t>(bytes) - before) / kPage * kPage;
  // Advice: where it is not taken, the pages are small.
  static_cast<void>(madvise(static_cast<char*>(memory) + before, whole, MADV_HUGEPAGE));
}

std::set<int> thread_ids() {
  std::set<int> ids;
  std::error_code gone;  // a thread that ends meanwhile
  for (std::filesystem::directory_iterator task("/proc/self/task", gone), end; !gone && task != end;
       task.increment(gone))
    ids.insert(std::atoi(task->path().filename().c_str()));
  return ids;
}

std::string cpu_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const std::size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  utsname names{};
  return uname(&names) == 0 ? names.machine : "unknown";
}

}  // namespace assay
