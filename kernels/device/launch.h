// Starting kernels from the host, and what has to be known about the device to choose a launch.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <string>
#include <utility>

#include "harness/core/error.h"
#include "kernels/device/twin.h"

namespace assay::ASSAY_TWIN {

struct LaunchConfig {
  std::int64_t blocks = 1;        // at most 2^31 - 1
  int threads = 1;                // a block
  std::int64_t shared_bytes = 0;  // dynamic, a block; above 48 KB only after allow_shared
  Stream stream;
};

inline void check(cudaError_t status, const std::string& what) {
  if (status == cudaSuccess) return;
  cudaGetLastError();  // forgets it: the next call is not to blame
  throw EnvironmentError(what + ": " + cudaGetErrorString(status));
}

// Enqueues kernel(args...). Throws EnvironmentError, with the shape of the launch, if the device
// refuses it.
template <class... Parameters, class... Args>
void launch(void (*kernel)(Parameters...), const LaunchConfig& config, Args&&... args) {
  const auto what = [&] {
    return "launch of " + std::to_string(config.blocks) + " blocks of " +
           std::to_string(config.threads) + " threads with " + std::to_string(config.shared_bytes) +
           " bytes of shared memory";
  };
  if (config.blocks < 1 || config.blocks > INT32_MAX) throw EnvironmentError(what() + ": too many");
  cudaLaunchConfig_t native = {};
  native.gridDim = dim3(static_cast<unsigned>(config.blocks));
  native.blockDim = dim3(static_cast<unsigned>(config.threads));
  native.dynamicSmemBytes = static_cast<std::size_t>(config.shared_bytes);
  native.stream = static_cast<cudaStream_t>(config.stream.handle);
  const cudaError_t status = cudaLaunchKernelEx(&native, kernel, std::forward<Args>(args)...);
  if (status != cudaSuccess) check(status, what());
}

// Lets `kernel` be launched with up to `bytes` of dynamic shared memory. Belongs into prepare, not
// into a Launch.
template <class... Parameters>
void allow_shared(void (*kernel)(Parameters...), std::int64_t bytes) {
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                             static_cast<int>(bytes)),
        "raising a kernel's shared memory to " + std::to_string(bytes) + " bytes");
}

// How many blocks of this shape run at once on the whole current device; at least 1.
template <class... Parameters>
std::int64_t resident_blocks(void (*kernel)(Parameters...), int threads,
                             std::int64_t shared_bytes) {
  int device = 0, multiprocessors = 0, blocks = 0;
  check(cudaGetDevice(&device), "asking for the current device");
  check(cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device),
        "asking for the number of multiprocessors");
  check(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, kernel, threads,
                                                      static_cast<std::size_t>(shared_bytes)),
        "asking for the occupancy of a kernel");
  return std::max<std::int64_t>(1, static_cast<std::int64_t>(blocks) * multiprocessors);
}

// The most shared memory that one block may have on the current device, static and dynamic
// together.
inline std::int64_t max_shared_bytes() {
  int device = 0, bytes = 0;
  check(cudaGetDevice(&device), "asking for the current device");
  check(cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device),
        "asking for the shared memory of a block");
  return bytes;
}

}  // namespace assay::ASSAY_TWIN
