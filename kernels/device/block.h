// Where a thread is in its block and grid (both one-dimensional), the block's shared memory, and
// its barriers.
#pragma once

#include <cstddef>

#include "kernels/device/twin.h"

// ASSAY_SHARED(sums, [8][33], float): `sums` is an array in the block's shared memory; its contents
// are undefined.
#define ASSAY_SHARED(name, extents, type) __shared__ type name extents

namespace assay::ASSAY_TWIN {

ASSAY_DEVICE int thread_index() { return static_cast<int>(threadIdx.x); }
ASSAY_DEVICE int block_index() { return static_cast<int>(blockIdx.x); }
ASSAY_DEVICE int num_threads() { return static_cast<int>(blockDim.x); }
ASSAY_DEVICE int num_blocks() { return static_cast<int>(gridDim.x); }
ASSAY_DEVICE int lane_index() { return thread_index() % kWarpSize; }
ASSAY_DEVICE int warp_index() { return thread_index() / kWarpSize; }
ASSAY_DEVICE int num_warps() { return num_threads() / kWarpSize; }

// The dynamic shared memory of the block, from byte `offset` on; aligned to 16 if the offset is.
template <class T>
ASSAY_DEVICE T* dyn_shared(std::size_t offset = 0) {
  extern __shared__ __align__(16) unsigned char assay_dynamic_shared[];
  return reinterpret_cast<T*>(assay_dynamic_shared + offset);
}

// Barriers that also order memory, for all threads of the block or of the warp. All of them must
// arrive.
ASSAY_DEVICE void sync_threads() { __syncthreads(); }
ASSAY_DEVICE void sync_warp() { __syncwarp(); }

}  // namespace assay::ASSAY_TWIN
