#include "kernels/simt/finding.h"

#include <dlfcn.h>
#include <link.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <map>
#include <mutex>
#include <vector>

namespace assay::executor {
namespace {

std::uintptr_t load_address() {
  Dl_info info;
  link_map* map = nullptr;
  if (dladdr1(reinterpret_cast<void*>(&load_address), &info, reinterpret_cast<void**>(&map),
              RTLD_DL_LINKMAP) == 0 ||
      map == nullptr) {
    return 0;
  }
  return map->l_addr;
}

// "kernels/x/y.cu:12" of "/some/where/kernels/x/y.cu:12 (discriminator 3)".
std::string shorten(std::string line) {
  line = line.substr(0, line.find_first_of(" \n"));
  for (const char* folder : {"/kernels/", "/harness/"}) {
    const std::size_t at = line.rfind(folder);
    if (at != std::string::npos) return line.substr(at + 1);
  }
  return line;
}

bool is_plumbing(const std::string& line) {
  return line.empty() || line[0] == '?' || line.rfind("kernels/device/", 0) == 0 ||
         line.rfind("kernels/simt/executor.h", 0) == 0 || line[0] == '/';
}

struct Place {
  std::string text;
  bool has_lines = false;  // debug information knows it
};

// addr2line of binutils, which every g++ brings along.
Place look_up(const void* address) {
  // A return address belongs to the line after the call.
  const std::uintptr_t offset = reinterpret_cast<std::uintptr_t>(address) - load_address() - 1;
  char command[96];
  std::snprintf(command, sizeof command, "addr2line -i -e /proc/%d/exe 0x%zx 2>/dev/null", getpid(),
                static_cast<std::size_t>(offset));
  std::vector<std::string> lines;
  if (FILE* pipe = popen(command, "r")) {
    char line[4096];
    while (std::fgets(line, sizeof line, pipe)) lines.push_back(shorten(line));
    pclose(pipe);
  }
  std::string result;
  for (const std::string& line : lines) {
    if (is_plumbing(line)) continue;
    result +=
        result.empty() ? line : (result.find(" (in ") == std::string::npos ? " (in " : ", ") + line;
  }
  if (result.find(" (in ") != std::string::npos) result += ")";
  if (!result.empty()) return {result, true};
  if (!lines.empty() && lines[0][0] != '?') return {lines[0], true};
  std::snprintf(command, sizeof command,
                "0x%zx in this program (no debug information, or no addr2line)",
                static_cast<std::size_t>(offset));
  return {command};
}

constinit thread_local int naming = 0;

struct Naming {
  Naming() { ++naming; }
  ~Naming() { --naming; }
};

const Place& find_place(const void* address) {
  const Naming here;
  static std::mutex mutex;
  static std::map<const void*, Place> known;
  const std::scoped_lock lock(mutex);
  const auto [entry, is_new] = known.try_emplace(address);
  if (is_new) entry->second = look_up(address);
  return entry->second;
}

}  // namespace

bool is_naming_place() { return naming > 0; }

std::string place(const void* address) {
  return address == nullptr ? "an unknown place" : find_place(address).text;
}

bool may_be_same_lines(const void* a, const void* b) {
  if (a == nullptr || b == nullptr) return a == b;
  const Place &first = find_place(a), &second = find_place(b);
  return !first.has_lines || !second.has_lines || first.text == second.text;
}

}  // namespace assay::executor
