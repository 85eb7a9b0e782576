#include "harness/core/host_memory.h"

#include <algorithm>
#include <utility>

#include "harness/core/host.h"

namespace assay {
namespace {

constexpr std::int64_t kLarge = 4 << 20;  // smaller blocks are warm in any case

KeptBlocks& kept_blocks() {
  static KeptBlocks blocks(available_memory() / 8);
  return blocks;
}

}  // namespace

KeptBlocks::Block KeptBlocks::take(std::int64_t bytes) {
  {
    const std::lock_guard lock(mutex_);
    auto best = blocks_.end();
    for (auto block = blocks_.begin(); block != blocks_.end(); ++block) {
      const bool fits = block->bytes >= bytes && block->bytes / 2 <= bytes;
      if (fits && (best == blocks_.end() || block->bytes < best->bytes)) best = block;
    }
    if (best != blocks_.end()) {
      Block block = std::move(*best);
      blocks_.erase(best);
      held_ -= block.bytes;
      return block;
    }
  }
  Block fresh = {std::make_unique_for_overwrite<std::byte[]>(static_cast<std::size_t>(bytes)),
                 bytes};
  prefer_huge_pages(fresh.storage.get(), bytes);
  return fresh;
}

void KeptBlocks::give(Block block) {
  if (block.bytes < kLarge || block.bytes > most_) return;
  std::list<Block> dropped;  // freed without the lock: that takes time
  const std::lock_guard lock(mutex_);
  held_ += block.bytes;
  blocks_.push_front(std::move(block));
  while (held_ > most_) {
    held_ -= blocks_.back().bytes;
    dropped.splice(dropped.end(), blocks_, std::prev(blocks_.end()));
  }
}

HostMemory::HostMemory(std::int64_t bytes) : block_(kept_blocks().take(bytes)) {}

HostMemory& HostMemory::operator=(HostMemory&& other) noexcept {
  std::swap(block_, other.block_);
  return *this;
}

HostMemory::~HostMemory() {
  if (block_.storage) kept_blocks().give(std::move(block_));
}

}  // namespace assay
