// Where a thread is in its block and grid (both one-dimensional), the block's shared memory, and
// its barriers.
#pragma once

#include <cstddef>

#include "kernels/device/twin.h"

// ASSAY_SHARED(sums, [8][33], float): `sums` is an array in the block's shared memory; its contents
// are undefined.
#if ASSAY_SIMT
#define ASSAY_SHARED(name, extents, type)                                      \
  using assay_type_of_##name = type extents;                                   \
  static constexpr ::assay::executor::SharedVariable assay_variable_##name = { \
      #name, sizeof(assay_type_of_##name), alignof(assay_type_of_##name)};     \
  auto& name = *static_cast<assay_type_of_##name*>(                            \
      ::assay::executor::shared_variable(assay_variable_##name))
#else
#define ASSAY_SHARED(name, extents, type) __shared__ type name extents
#endif

namespace assay::ASSAY_TWIN {

#if ASSAY_SIMT
ASSAY_DEVICE int thread_index() { return executor::position().thread; }
ASSAY_DEVICE int block_index() { return executor::position().block; }
ASSAY_DEVICE int num_threads() { return executor::position().threads; }
ASSAY_DEVICE int num_blocks() { return executor::position().blocks; }
#else
ASSAY_DEVICE int thread_index() { return static_cast<int>(threadIdx.x); }
ASSAY_DEVICE int block_index() { return static_cast<int>(blockIdx.x); }
ASSAY_DEVICE int num_threads() { return static_cast<int>(blockDim.x); }
ASSAY_DEVICE int num_blocks() { return static_cast<int>(gridDim.x); }
#endif
ASSAY_DEVICE int lane_index() { return thread_index() % kWarpSize; }
ASSAY_DEVICE int warp_index() { return thread_index() / kWarpSize; }
ASSAY_DEVICE int num_warps() { return num_threads() / kWarpSize; }

// The dynamic shared memory of the block, from byte `offset` on; aligned to 16 if the offset is.
template <class T>
ASSAY_DEVICE T* dyn_shared(std::size_t offset = 0) {
#if ASSAY_SIMT
  return static_cast<T*>(executor::dynamic_shared(offset));
#else
  extern __shared__ __align__(16) unsigned char assay_dynamic_shared[];
  return reinterpret_cast<T*>(assay_dynamic_shared + offset);
#endif
}

// Barriers that also order memory. All threads of the block must arrive, at the same place.
ASSAY_DEVICE void sync_threads() {
#if ASSAY_SIMT
  executor::sync_block();
#else
  __syncthreads();
#endif
}

// All lanes of `mask`, which names the caller.
ASSAY_DEVICE void sync_warp(unsigned mask = 0xffffffffu) {
#if ASSAY_SIMT
  executor::sync_warp(mask);
#else
  __syncwarp(mask);
#endif
}

// A barrier of some warps of the block: a round is complete when `threads` threads, a multiple of
// 32, have called one of the two with this `id` (1 to 15). sync_named waits for that, arrive_named
// does not. Both by whole warps.
ASSAY_DEVICE void sync_named(int id, int threads) {
#if ASSAY_SIMT
  executor::sync_named(id, threads);
#else
  asm volatile("barrier.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
#endif
}
ASSAY_DEVICE void arrive_named(int id, int threads) {
#if ASSAY_SIMT
  executor::arrive_named(id, threads);
#else
  asm volatile("barrier.arrive %0, %1;" ::"r"(id), "r"(threads) : "memory");
#endif
}

}  // namespace assay::ASSAY_TWIN
