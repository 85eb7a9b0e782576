// Pinning the host's blocks of memory where they are, so that the device copies to and from them by
// itself, at the full rate and beside whatever the host does. It takes 25 ms a GB and the end of
// the block another 19 (an H100's host; new pinned memory takes 330): worth it since blocks are
// used again and again.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

namespace assay {

// Of some bytes: how many are pinned, and how many before and after them are not. A copy must not
// have both.
struct PinnedPart {
  std::int64_t before, bytes, after;
};

constexpr std::int64_t kHostPage = 4096;

// What is pinned of the bytes from address `begin` on, of a block: the whole pages of the block.
// Those at its ends may be partly another's.
inline PinnedPart pinned_part(std::uintptr_t block, std::int64_t block_bytes, std::uintptr_t begin,
                              std::int64_t bytes) {
  const auto at = static_cast<std::int64_t>(begin - block);
  const auto into_page = static_cast<std::int64_t>(block % kHostPage);
  const std::int64_t first = (kHostPage - into_page) % kHostPage;
  const std::int64_t last = (into_page + block_bytes) / kHostPage * kHostPage - into_page;
  const std::int64_t before = std::clamp<std::int64_t>(first - at, 0, bytes);
  const std::int64_t after = std::clamp<std::int64_t>(at + bytes - last, 0, bytes - before);
  return {before, bytes - before - after, after};
}

// Pins the large block (core/host_blocks.h) that these bytes are in, for all devices of the process
// and until its end. Nothing: it is other memory, there are enough pinned blocks, or the driver
// refuses.
std::optional<PinnedPart> pin_host_block(const void* memory, std::int64_t bytes);

}  // namespace assay
