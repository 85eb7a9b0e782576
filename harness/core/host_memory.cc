#include "harness/core/host_memory.h"

#include <bit>
#include <cstdlib>
#include <iterator>
#include <map>
#include <new>
#include <utility>

#include "harness/core/host.h"
#include "harness/core/host_blocks.h"

namespace assay {
namespace {

// The large blocks of kept_blocks(), in use or kept.
struct Known {
  std::mutex mutex;
  std::map<const std::byte*, std::int64_t> bytes;  // by their begin
  HostBlockWatcher watcher = nullptr;
};
Known& known() {
  static Known blocks;
  return blocks;
}

void remember(const KeptBlocks::Block& block) {
  if (block.bytes < kLargeBlock) return;
  const std::lock_guard lock(known().mutex);
  known().bytes[block.storage.get()] = block.bytes;
}

void end(KeptBlocks::Block block) noexcept {
  HostBlockWatcher watcher = nullptr;
  {
    const std::lock_guard lock(known().mutex);
    if (known().bytes.erase(block.storage.get()) > 0) watcher = known().watcher;
  }
  if (watcher) watcher(block.storage.get());
}

}  // namespace

KeptBlocks::Block KeptBlocks::fresh(std::int64_t bytes) {
  constexpr std::size_t kHugePage = 2 << 20, kCacheLine = 64;
  const bool is_large = bytes >= kLargeBlock;
  if (is_large) {
    const auto step = std::bit_floor(static_cast<std::uint64_t>(bytes)) / 8;
    bytes = static_cast<std::int64_t>((static_cast<std::uint64_t>(bytes) + step - 1) / step * step);
  }
  void* memory = nullptr;
  if (posix_memalign(&memory, is_large ? kHugePage : kCacheLine, static_cast<std::size_t>(bytes)) !=
      0)
    throw std::bad_alloc();
  prefer_huge_pages(memory, bytes);
  return {std::unique_ptr<std::byte[], Freed>(static_cast<std::byte*>(memory)), bytes};
}

KeptBlocks::Block KeptBlocks::take(std::int64_t bytes) {
  {
    const std::lock_guard lock(mutex_);
    auto best = blocks_.end();
    for (auto block = blocks_.begin(); block != blocks_.end(); ++block) {
      const bool fits = block->bytes >= bytes && block->bytes - bytes <= bytes;
      if (fits && (best == blocks_.end() || block->bytes < best->bytes)) best = block;
    }
    if (best != blocks_.end()) {
      Block block = std::move(*best);
      blocks_.erase(best);
      held_ -= block.bytes;
      return block;
    }
  }
  const auto make = [&] {
    Block block = fresh(bytes);
    if (this == &kept_blocks()) remember(block);
    return block;
  };
  try {
    return make();
  } catch (const std::bad_alloc&) {
    drop();
    return make();
  }
}

void KeptBlocks::give(Block block) noexcept {
  if (block.bytes < kLargeBlock || block.bytes > most_ / 8) return end(std::move(block));
  const std::lock_guard lock(mutex_);
  while (blocks_.size() == kMostBlocks || held_ + block.bytes > most_) {
    held_ -= blocks_.front().bytes;
    end(std::move(blocks_.front()));
    blocks_.erase(blocks_.begin());
  }
  held_ += block.bytes;
  blocks_.push_back(std::move(block));
}

void KeptBlocks::drop() {
  const std::lock_guard lock(mutex_);
  for (Block& block : blocks_) end(std::move(block));
  blocks_.clear();
  held_ = 0;
}

std::int64_t KeptBlocks::held() const {
  const std::lock_guard lock(mutex_);
  return held_;
}

std::optional<HostBlock> host_block_of(const void* memory, std::int64_t bytes) {
  const auto* const begin = static_cast<const std::byte*>(memory);
  const std::lock_guard lock(known().mutex);
  const auto next = known().bytes.upper_bound(begin);
  if (next == known().bytes.begin()) return {};
  const auto& [first, size] = *std::prev(next);
  if (begin + bytes > first + size) return {};
  return HostBlock{first, size};
}

HostBlockWatcher watch_host_blocks(HostBlockWatcher watcher) {
  const std::lock_guard lock(known().mutex);
  return std::exchange(known().watcher, watcher);
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
