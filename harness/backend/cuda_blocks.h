// Device memory, and what was given back of it, for the next one: a case asks for dozens of blocks
// and gives them back, which took the driver half a second of a sweep of half a minute (H100).
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

namespace assay {

// Of one device, which is current for whoever calls.
class CudaBlocks {
 public:
  // Keeps at most so many bytes, none of more than a quarter of that; what was given back longest
  // ago goes first.
  explicit CudaBlocks(std::int64_t most) : most_(most) {}
  ~CudaBlocks() { drop(); }
  CudaBlocks(const CudaBlocks&) = delete;
  CudaBlocks& operator=(const CudaBlocks&) = delete;

  // At least `bytes`, of any contents: the smallest that is kept and at most twice as large, else a
  // new one. Null: there is no memory for it beside what is kept.
  void* take(std::int64_t bytes);
  // After all work of the device that was begun.
  void give(void* memory) noexcept;
  bool drop() noexcept;  // all that is kept; false: there was nothing

 private:
  struct Block {
    void* memory;
    std::int64_t bytes;
  };

  std::int64_t most_, held_ = 0;
  std::vector<Block> kept_;                        // given back last last
  std::unordered_map<void*, std::int64_t> taken_;  // bytes of those in use
};

}  // namespace assay
