// Which twin of the device vocabulary is being compiled: `cuda` (nvcc, for a GPU). Kernels are
// written against the names of kernels/device alone and live in assay::ASSAY_TWIN::<op>_<variant>,
// so that two twins of one source never share a symbol.
#pragma once

#include "harness/core/variant.h"

#if !defined(ASSAY_TWIN)
#error "ASSAY_TWIN names the backend that kernels are compiled for; the build defines it"
#endif

// A function that runs on the device.
#define ASSAY_DEVICE __device__ __forceinline__

// ASSAY_KERNEL(max_threads[, min_blocks]) void name(arguments): a kernel, started by launch(). The
// compiler gives it as many registers as `max_threads` a block, and `min_blocks` blocks a
// multiprocessor, leave.
#define ASSAY_KERNEL(...) __global__ __launch_bounds__(__VA_ARGS__)

// Before a loop: repeat its body for each iteration, so that arrays indexed in it stay in
// registers; or do not.
#define ASSAY_UNROLL _Pragma("unroll")
#define ASSAY_NO_UNROLL _Pragma("unroll 1")

namespace assay::ASSAY_TWIN {

inline constexpr Backend kTwinBackend = Backend::cuda;

inline constexpr int kWarpSize = 32;

}  // namespace assay::ASSAY_TWIN
