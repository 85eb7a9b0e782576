#include "harness/backend/cuda_pinning.h"

#include <cuda_runtime.h>
#include <sys/mman.h>

#include <cstddef>
#include <map>
#include <mutex>
#include <optional>

#include "harness/core/host.h"
#include "harness/core/host_blocks.h"
#include "harness/core/parallel.h"

namespace assay {
namespace {

// Physical memory where there is none yet: that comes faster to all threads than to the driver.
void give_pages(std::byte* begin, std::int64_t bytes) {
#ifdef MADV_POPULATE_WRITE
  constexpr std::int64_t kHugePage = 2 << 20;
  parallel_for(bytes, kHugePage, [&](std::int64_t from, std::int64_t to) {
    // Old kernels do not know it; the driver then does it all.
    static_cast<void>(
        madvise(begin + from, static_cast<std::size_t>(to - from), MADV_POPULATE_WRITE));
  });
#else
  static_cast<void>(begin), static_cast<void>(bytes);
#endif
}

class PinnedBlocks {
 public:
  static PinnedBlocks& of_process() {
    static PinnedBlocks blocks;
    return blocks;
  }

  bool pin(const HostBlock& block) {
    const std::lock_guard lock(mutex_);
    if (const auto known = pinned_.find(block.begin); known != pinned_.end())
      return known->second.has_value();  // nor is it tried again
    if (held_ + block.bytes > most_) return false;
    std::optional<Pinned>& entry = pinned_[block.begin];
    const auto address = reinterpret_cast<std::uintptr_t>(block.begin);
    const PinnedPart part = pinned_part(address, block.bytes, address, block.bytes);
    auto* const pages = const_cast<std::byte*>(block.begin) + part.before;
    give_pages(pages, part.bytes);
    if (cudaHostRegister(pages, static_cast<std::size_t>(part.bytes), cudaHostRegisterPortable) !=
        cudaSuccess) {
      cudaGetLastError();  // forgets it
      return false;
    }
    entry = Pinned{pages, block.bytes};
    held_ += block.bytes;
    return true;
  }

 private:
  struct Pinned {
    void* pages;
    std::int64_t bytes;  // of the block
  };

  PinnedBlocks() {
    watch_host_blocks([](const std::byte* begin) noexcept { of_process().unpin(begin); });
  }
  ~PinnedBlocks() { watch_host_blocks(nullptr); }

  void unpin(const std::byte* begin) {
    const std::lock_guard lock(mutex_);
    const auto entry = pinned_.find(begin);
    if (entry == pinned_.end()) return;
    if (entry->second) {
      if (cudaHostUnregister(entry->second->pages) != cudaSuccess) cudaGetLastError();
      held_ -= entry->second->bytes;
    }
    pinned_.erase(entry);
  }

  std::mutex mutex_;
  const std::int64_t most_ = available_memory() / 4;
  std::int64_t held_ = 0;
  std::map<const std::byte*, std::optional<Pinned>> pinned_;  // by block; nothing: it was refused
};

}  // namespace

std::optional<PinnedPart> pin_host_block(const void* memory, std::int64_t bytes) {
  const std::optional<HostBlock> block = host_block_of(memory, bytes);
  if (!block || !PinnedBlocks::of_process().pin(*block)) return {};
  return pinned_part(reinterpret_cast<std::uintptr_t>(block->begin), block->bytes,
                     reinterpret_cast<std::uintptr_t>(memory), bytes);
}

}  // namespace assay
