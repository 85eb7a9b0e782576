// Which large blocks of host_memory.h there are: for whoever does something to one of them that
// lasts, such as pinning it, and must undo it before the system has the memory back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

namespace assay {

// Begins at a page and has whole pages.
struct HostBlock {
  const std::byte* begin;
  std::int64_t bytes;
};

// The block that holds these bytes; nothing where they are other memory, or in a small one. Stays
// true until the block's end, which comes after that of the HostMemory that owns it now.
std::optional<HostBlock> host_block_of(const void* memory, std::int64_t bytes);

// Called with the begin of each of these blocks before it is freed, by the thread that frees it;
// not when the process ends. There is one: the last that was set; null: none. Returns the one
// before.
using HostBlockWatcher = void (*)(const std::byte* begin) noexcept;
HostBlockWatcher watch_host_blocks(HostBlockWatcher watcher);

}  // namespace assay
