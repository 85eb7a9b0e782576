// Large blocks of host memory that outlive their owner, for the next one: a sweep needs as much for
// each case, and filling fresh pages takes more than twice as long as filling warm ones (16 threads
// of an H100's host copied outputs into huge pages at 17 GB/s, into the same pages again at 41).
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <vector>

namespace assay {

// Blocks that were given back. Holds at most `most` bytes, in at most kMostBlocks, none of more
// than an eighth of that: one alone would drive out many. What was given back longest ago goes
// first. Usable from several threads.
class KeptBlocks {
 public:
  struct Freed {
    void operator()(std::byte* memory) const noexcept { std::free(memory); }
  };
  struct Block {
    std::unique_ptr<std::byte[], Freed> storage;
    std::int64_t bytes = 0;
  };

  // Of no kept one. Large blocks (kLargeBlock) have pages of their own, of 2 MiB where the system
  // gives such, in sizes an eighth apart: then another of nearly the same size fits. Throws
  // std::bad_alloc.
  static Block fresh(std::int64_t bytes);

  static constexpr std::size_t kMostBlocks = 64;

  explicit KeptBlocks(std::int64_t most) : most_(most) { blocks_.reserve(kMostBlocks); }

  // At least `bytes`, of any contents: the smallest that is kept and at most twice as large, else
  // a fresh one. Throws std::bad_alloc, if not even giving up all that is kept helps.
  Block take(std::int64_t bytes);
  void give(Block block) noexcept;
  void drop();  // all that is kept

  std::int64_t held() const;

 private:
  const std::int64_t most_;
  mutable std::mutex mutex_;
  std::int64_t held_ = 0;
  std::vector<Block> blocks_;  // given back last last; never grows: giving back must not throw
};

// Those of this process: they hold at most a quarter of the memory that was available when they
// were first used, and nothing where the address sanitizer is to see the end of each block.
KeptBlocks& kept_blocks();

// One of these blocks.
class HostMemory {
 public:
  HostMemory() = default;
  explicit HostMemory(std::int64_t bytes) : block_(kept_blocks().take(bytes)) {}
  HostMemory(HostMemory&& other) noexcept = default;
  HostMemory& operator=(HostMemory&& other) noexcept;
  ~HostMemory();

  std::byte* get() const { return block_.storage.get(); }
  explicit operator bool() const { return block_.storage != nullptr; }

 private:
  KeptBlocks::Block block_;
};

// Numbers in such memory, uninitialised.
template <class T>
class HostArray {
 public:
  explicit HostArray(std::int64_t count) : memory_(count * static_cast<std::int64_t>(sizeof(T))) {}

  T* get() const { return reinterpret_cast<T*>(memory_.get()); }
  T& operator[](std::size_t index) const { return get()[index]; }

 private:
  HostMemory memory_;
};

}  // namespace assay
