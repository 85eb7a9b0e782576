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

constexpr std::size_t kPage = 4096;

// Physical memory where there is none yet: that comes faster to all threads than to the driver.
void give_pages(std::byte* begin, std::int64_t count) {
#ifdef MADV_POPULATE_WRITE
  constexpr std::int64_t kHuge = 512;  // pages
  parallel_for(count, kHuge, [&](std::int64_t from, std::int64_t to) {
    constexpr auto kBytes = static_cast<std::int64_t>(kPage);
    // Old kernels do not know it; the driver then does it all.
    static_cast<void>(madvise(begin + from * kBytes, static_cast<std::size_t>((to - from) * kBytes),
                              MADV_POPULATE_WRITE));
  });
#else
  static_cast<void>(begin), static_cast<void>(count);
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
    const auto [entry, is_new] = pinned_.try_emplace(block.begin, std::nullopt);
    if (!is_new) return entry->second.has_value();  // nor is it tried again
    if (held_ + block.bytes > most_) return false;
    // Whole pages: the allocator's words before the block lie in the first.
    const std::size_t before = reinterpret_cast<std::uintptr_t>(block.begin) % kPage;
    const std::size_t bytes = before + static_cast<std::size_t>(block.bytes) + kPage - 1;
    auto* const pages = const_cast<std::byte*>(block.begin) - before;
    give_pages(pages, static_cast<std::int64_t>(bytes / kPage));
    if (cudaHostRegister(pages, bytes / kPage * kPage, cudaHostRegisterPortable) != cudaSuccess) {
      cudaGetLastError();  // forgets it
      return false;
    }
    entry->second = Pinned{pages, block.bytes};
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
      cudaHostUnregister(entry->second->pages);
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

bool pin_host_block(const void* memory, std::int64_t bytes) {
  const std::optional<HostBlock> block = host_block_of(memory, bytes);
  return block && PinnedBlocks::of_process().pin(*block);
}

}  // namespace assay
