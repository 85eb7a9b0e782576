// Large blocks of host memory that outlive their owner, for the next one: a sweep needs as much for
// each case, and filling fresh pages takes more than twice as long as filling warm ones (16 threads
// of an H100's host copied outputs into huge pages at 17 GB/s, into the same pages again at 41).
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>

namespace assay {

// Blocks that were given back. Holds at most `most` bytes; what was given back longest ago goes
// first. Usable from several threads.
class KeptBlocks {
 public:
  struct Block {
    std::unique_ptr<std::byte[]> storage;
    std::int64_t bytes = 0;
  };

  explicit KeptBlocks(std::int64_t most) : most_(most) {}

  // At least `bytes`, of any contents: the smallest that is kept and no more than twice as large,
  // else a fresh one. Throws std::bad_alloc.
  Block take(std::int64_t bytes);
  void give(Block block);

  std::int64_t held() const { return held_; }

 private:
  const std::int64_t most_;
  std::mutex mutex_;
  std::int64_t held_ = 0;
  std::list<Block> blocks_;  // given back last first
};

// A block of the process's KeptBlocks, which hold at most an eighth of the memory that was
// available when they were first used.
class HostMemory {
 public:
  HostMemory() = default;
  explicit HostMemory(std::int64_t bytes);  // of any contents
  HostMemory(HostMemory&& other) noexcept = default;
  HostMemory& operator=(HostMemory&& other) noexcept;
  ~HostMemory();

  std::byte* get() const { return block_.storage.get(); }
  explicit operator bool() const { return block_.storage != nullptr; }

 private:
  KeptBlocks::Block block_;
};

}  // namespace assay
