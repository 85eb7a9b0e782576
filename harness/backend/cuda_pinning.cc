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
      return known->second > 0;  // nor is it tried again
    if (held_ + block.bytes > most_) return false;
    std::int64_t& pinned = pinned_[block.begin];
    auto* const memory = const_cast<std::byte*>(block.begin);
    give_pages(memory, block.bytes);
    if (cudaHostRegister(memory, static_cast<std::size_t>(block.bytes), cudaHostRegisterPortable) !=
        cudaSuccess) {
      cudaGetLastError();  // forgets it
      return false;
    }
    pinned = block.bytes;
    held_ += pinned;
    return true;
  }

 private:
  PinnedBlocks() {
    watch_host_blocks([](const std::byte* begin) noexcept { of_process().unpin(begin); });
  }
  ~PinnedBlocks() { watch_host_blocks(nullptr); }

  void unpin(const std::byte* begin) {
    const std::lock_guard lock(mutex_);
    const auto entry = pinned_.find(begin);
    if (entry == pinned_.end()) return;
    if (entry->second > 0 && cudaHostUnregister(const_cast<std::byte*>(begin)) != cudaSuccess)
      cudaGetLastError();
    held_ -= entry->second;
    pinned_.erase(entry);
  }

  std::mutex mutex_;
  const std::int64_t most_ = available_memory() / 4;
  std::int64_t held_ = 0;
  std::map<const std::byte*, std::int64_t> pinned_;  // bytes, by block; none: it was refused
};

}  // namespace

bool pin_host_block(const void* memory, std::int64_t bytes) {
  const std::optional<HostBlock> block = host_block_of(memory, bytes);
  return block && PinnedBlocks::of_process().pin(*block);
}

}  // namespace assay
