#include "harness/backend/cuda_blocks.h"

#include <cuda_runtime.h>

#include <algorithm>
#include <cstddef>
#include <string>

#include "harness/backend/cuda_handles.h"

namespace assay {

void* CudaBlocks::take(std::int64_t bytes) {
  bytes = std::max<std::int64_t>(bytes, 1);
  auto best = kept_.end();
  for (auto block = kept_.begin(); block != kept_.end(); ++block) {
    const bool fits = block->bytes >= bytes && block->bytes - bytes <= bytes;
    if (fits && (best == kept_.end() || block->bytes < best->bytes)) best = block;
  }
  if (best != kept_.end()) {
    const Block block = *best;
    taken_.emplace(block.memory, block.bytes);
    kept_.erase(best);
    held_ -= block.bytes;
    return block.memory;
  }
  void* memory = nullptr;
  const cudaError_t status = cudaMalloc(&memory, static_cast<std::size_t>(bytes));
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();  // forgets it
    return nullptr;
  }
  check(status, "allocating " + std::to_string(bytes) + " bytes of device memory");
  taken_.emplace(memory, bytes);
  return memory;
}

void CudaBlocks::give(void* memory) noexcept {
  const auto taken = taken_.find(memory);
  if (taken == taken_.end()) return;
  const std::int64_t bytes = taken->second;
  taken_.erase(taken);
  // As cudaFree would: nothing that uses it may still be under way when the next one has it.
  if (bytes > most_ / 4 || cudaDeviceSynchronize() != cudaSuccess) {
    cudaFree(memory);
    cudaGetLastError();  // what stays, the next call finds
    return;
  }
  while (held_ + bytes > most_) {
    cudaFree(kept_.front().memory);
    held_ -= kept_.front().bytes;
    kept_.erase(kept_.begin());
  }
  kept_.push_back({memory, bytes});
  held_ += bytes;
}

bool CudaBlocks::drop() noexcept {
  const bool any = !kept_.empty();
  for (const Block& block : kept_) cudaFree(block.memory);
  kept_.clear();
  held_ = 0;
  return any;
}

}  // namespace assay
