// Which twin of the device vocabulary is being compiled: `cuda` (nvcc, for a GPU) or `simt` (the
// host compiler, for the executor of kernels/simt). Kernels are written against the names of
// kernels/device alone and live in assay::ASSAY_TWIN::<op>_<variant>, so that two twins of one
// source never share a symbol.
//
// A wrapper is complete when it has both: `#if ASSAY_SIMT` the host's, else the GPU's. One with PTX
// and no host twin does not compile on the host: the error names the wrapper.
#pragma once

#include "harness/core/variant.h"

#if !defined(ASSAY_TWIN)
#error "ASSAY_TWIN names the backend that kernels are compiled for; the build defines it"
#endif

#if defined(__CUDACC__)
#define ASSAY_SIMT 0
#else
#define ASSAY_SIMT 1
#include <algorithm>
#include <bit>
#include <cmath>
#include <type_traits>

#include "kernels/simt/executor.h"
#endif

#if ASSAY_SIMT

// A function that runs on the device. Inlined, since the executor knows places in kernels by return
// addresses.
#define ASSAY_DEVICE inline __attribute__((always_inline))
#define ASSAY_KERNEL(...) __attribute__((noinline))
#define ASSAY_UNROLL
#define ASSAY_NO_UNROLL

// PTX in a wrapper means that its host twin is missing.
#define asm                                                                                        \
  static_assert(false, "this wrapper has PTX and no host twin: give it one under #if ASSAY_SIMT"); \
  __asm__

#else

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

#endif

namespace assay::ASSAY_TWIN {

inline constexpr Backend kTwinBackend = Backend::ASSAY_TWIN;

inline constexpr int kWarpSize = 32;

#if ASSAY_SIMT
using std::max;  // nvcc has them without a namespace
using std::min;
#endif

}  // namespace assay::ASSAY_TWIN
