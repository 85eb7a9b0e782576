#include "harness/core/host_memory.h"

#include <new>
#include <utility>

#include "harness/core/host.h"

namespace assay {
namespace {

KeptBlocks::Block fresh_block(std::int64_t bytes) {
  KeptBlocks::Block block = {
      std::make_unique_for_overwrite<std::byte[]>(static_cast<std::size_t>(bytes)), bytes};
  prefer_huge_pages(block.storage.get(), bytes);
  return block;
}

}  // namespace

KeptBlocks::Block KeptBlocks::take(std::int64_t bytes) {
  {
    const std::lock_guard lock(mutex_);
    auto best = blocks_.end();
    for (auto block = blocks_.begin(); block != blocks_.end(); ++block) {
      const bool fits = block->bytes >= bytes && block->bytes - bytes <= bytes / 4;
      if (fits && (best == blocks_.end() || block->bytes < best->bytes)) best = block;
    }
    if (best != blocks_.end()) {
      Block block = std::move(*best);
      blocks_.erase(best);
      held_ -= block.bytes;
      return block;
    }
  }
  try {
    return fresh_block(bytes);
  } catch (const std::bad_alloc&) {
    drop();
    return fresh_block(bytes);
  }
}

void KeptBlocks::give(Block block) noexcept {
  if (block.bytes < kLargeBlock || block.bytes > most_ / 8) return;
  const std::lock_guard lock(mutex_);
  while (blocks_.size() == kMostBlocks || held_ + block.bytes > most_) {
    held_ -= blocks_.front().bytes;
    blocks_.erase(blocks_.begin());
  }
  held_ += block.bytes;
  blocks_.push_back(std::move(block));
}

void KeptBlocks::drop() {
  const std::lock_guard lock(mutex_);
  blocks_.clear();
  held_ = 0;
}

std::int64_t KeptBlocks::held() const {
  const std::lock_guard lock(mutex_);
  return held_;
}

KeptBlocks& kept_blocks() {
#ifdef __SANITIZE_ADDRESS__
  static KeptBlocks blocks(0);
#else
  static KeptBlocks blocks(available_memory() / 4);
#endif
  return blocks;
}

HostMemory& HostMemory::operator=(HostMemory&& other) noexcept {
  std::swap(block_, other.block_);
  return *this;
}

HostMemory::~HostMemory() {
  if (block_.storage) kept_blocks().give(std::move(block_));
}

}  // namespace assay
