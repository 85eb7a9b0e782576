// Which addresses are whose: buffers of cases by name, so that a fault can be blamed on one.
// Looking up is safe in a signal handler.
#pragma once

#include <cstdint>
#include <string_view>

namespace assay {

class NamedMemory {  // during this object's life
 public:
  NamedMemory(const void* begin, std::int64_t bytes, std::string_view name);
  NamedMemory(NamedMemory&& other) noexcept;
  NamedMemory& operator=(NamedMemory&&) = delete;
  ~NamedMemory();

  struct Place {
    const char* name;  // null: no buffer is within a GiB
    std::int64_t bytes;
    std::int64_t offset;  // of the address from the begin; negative before it
  };
  static Place nearest(std::uintptr_t address) noexcept;

 private:
  int slot_;  // -1: none was free
};

}  // namespace assay
