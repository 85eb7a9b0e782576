// Global memory of the simt backend: which buffers there are, what a kernel may do with them, and
// whose an address is.
#pragma once

#include <cstdint>
#include <string>

#include "kernels/simt/race.h"

namespace assay::executor {

// The host's side; not to be called while a launch runs.
void add_allocation(void* memory, std::int64_t bytes);
void remove_allocation(void* memory);
// From its first buffer on, nothing else of an allocation may be touched by kernels.
void add_buffer(void* memory, std::int64_t bytes, const std::string& name, bool writable);
void fill(void* memory, unsigned char byte,
          std::int64_t bytes);  // its contents are undefined from then on
void copy(void* to, const void* from, std::int64_t bytes);  // either may be host memory

struct Buffer {
  std::uintptr_t begin, end;
  std::string name;
  bool writable;
  race::Region* region;  // null: its accesses are not followed
};

// The buffer that all of these bytes lie in; null: none.
const Buffer* buffer_with(const void* address, int bytes);

// What an access to global memory would break: nothing (null text), or why it may not be.
struct Verdict {
  const Buffer* buffer = nullptr;
  std::string broken;  // "16 bytes after `O` (of 2048 bytes)", "`V` is an input"
};
// Addresses outside of all allocations (stacks, constants) are nobody's business.
Verdict check_global(const void* address, int bytes, bool writes);

// "`O`, byte 128", "12 bytes before `V`"; "" for an address outside of all allocations.
std::string describe_global(const void* address);

}  // namespace assay::executor
