// Starting kernels from the host, and what has to be known about the device to choose a launch.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>

#include "harness/core/error.h"
#include "kernels/device/twin.h"

#if ASSAY_SIMT
#include <tuple>

#include "kernels/simt/launch.h"
#else
#include <cuda_runtime.h>
#endif

namespace assay::ASSAY_TWIN {

struct LaunchConfig {
  std::int64_t blocks = 1;        // at most 2^31 - 1
  int threads = 1;                // a block
  std::int64_t shared_bytes = 0;  // dynamic, a block; above 48 KB only after allow_shared
  int cluster = 1;                // consecutive blocks that are a cluster: 1 to 8, 1 below sm_90
  Stream stream;
};

inline std::string describe(const LaunchConfig& config) {
  return "launch of " + std::to_string(config.blocks) + " blocks of " +
         std::to_string(config.threads) + " threads with " + std::to_string(config.shared_bytes) +
         " bytes of shared memory" +
         (config.cluster == 1 ? "" : " in clusters of " + std::to_string(config.cluster));
}

#if ASSAY_SIMT

// The pointers among the arguments must be aligned to what they point at; on a device the first
// access fails.
template <class T>
void require_aligned_argument(const LaunchConfig& config, std::size_t index, const T& argument) {
  if constexpr (std::is_pointer_v<T>) {
    using Pointee = std::remove_pointer_t<T>;
    if constexpr (std::is_object_v<Pointee>) {
      if (reinterpret_cast<std::uintptr_t>(argument) % alignof(Pointee) != 0) {
        throw KernelFault("misaligned", describe(config) + ": misaligned address: argument " +
                                            std::to_string(index) + " is not a multiple of " +
                                            std::to_string(alignof(Pointee)));
      }
    }
  }
}

// Runs kernel(args...). Throws EnvironmentError, with the shape of the launch, if a device would
// refuse it, and KernelFault for what the kernel does wrong.
template <class... Parameters, class... Args>
void launch(void (*kernel)(Parameters...), const LaunchConfig& config, Args&&... args) {
  static_assert((std::is_trivially_copyable_v<Parameters> && ...),
                "a kernel's parameters are copied as bytes");
  using Arguments = std::tuple<void (*)(Parameters...), Parameters...>;
  const Arguments arguments(kernel, static_cast<Parameters>(std::forward<Args>(args))...);
  if (config.blocks < 1 || config.blocks > INT32_MAX)
    throw EnvironmentError(describe(config) + ": too many");
  const executor::Shape shape = {config.blocks, config.threads, config.shared_bytes,
                                 config.cluster};
  const auto* function = reinterpret_cast<const void*>(kernel);
  if (const char* why = executor::refusal(function, shape))
    throw EnvironmentError(describe(config) + ": " + why);
  std::apply(
      [&](auto, const Parameters&... all) {
        std::size_t index = 0;
        (require_aligned_argument(config, index++, all), ...);
      },
      arguments);
  executor::launch({function,
                    [](const void* of) {
                      std::apply([](auto called, const Parameters&... all) { called(all...); },
                                 *static_cast<const Arguments*>(of));
                    },
                    &arguments, (sizeof(Parameters) + ... + 0)},
                   shape);
}

template <class... Parameters>
void allow_shared(void (*kernel)(Parameters...), std::int64_t bytes) {
  const auto* function = reinterpret_cast<const void*>(kernel);
  const std::int64_t most = bytes < 0 ? bytes : std::max(bytes, executor::most_shared(function));
  if (const char* why = executor::allow_shared(function, most)) {
    throw EnvironmentError("raising a kernel's shared memory to " + std::to_string(bytes) +
                           " bytes: " + why);
  }
}

template <class... Parameters>
std::int64_t resident_blocks(void (*)(Parameters...), int threads, std::int64_t shared_bytes) {
  return executor::resident_blocks(threads, shared_bytes);
}

template <class... Parameters>
std::int64_t resident_clusters(void (*)(Parameters...), int threads, std::int64_t shared_bytes,
                               int cluster) {
  return std::max<std::int64_t>(1, executor::resident_blocks(threads, shared_bytes) / cluster);
}

inline std::int64_t max_shared_bytes() { return executor::settings().device.shared_per_block; }

#else

inline void check(cudaError_t status, const std::string& what) {
  if (status == cudaSuccess) return;
  cudaGetLastError();  // forgets it: the next call is not to blame
  throw EnvironmentError(what + ": " + cudaGetErrorString(status));
}

// Enqueues kernel(args...). Throws EnvironmentError, with the shape of the launch, if the device
// refuses it.
template <class... Parameters, class... Args>
void launch(void (*kernel)(Parameters...), const LaunchConfig& config, Args&&... args) {
  if (config.blocks < 1 || config.blocks > INT32_MAX)
    throw EnvironmentError(describe(config) + ": too many");
  cudaLaunchConfig_t native = {};
  native.gridDim = dim3(static_cast<unsigned>(config.blocks));
  native.blockDim = dim3(static_cast<unsigned>(config.threads));
  native.dynamicSmemBytes = static_cast<std::size_t>(config.shared_bytes);
  native.stream = static_cast<cudaStream_t>(config.stream.handle);
  cudaLaunchAttribute cluster = {};
  if (config.cluster != 1) {
    cluster.id = cudaLaunchAttributeClusterDimension;
    cluster.val.clusterDim = {static_cast<unsigned>(config.cluster), 1, 1};
    native.attrs = &cluster;
    native.numAttrs = 1;
  }
  const cudaError_t status = cudaLaunchKernelEx(&native, kernel, std::forward<Args>(args)...);
  if (status != cudaSuccess) check(status, describe(config));
}

// Lets `kernel` be launched with up to `bytes` of dynamic shared memory; what it was let before it
// keeps: the same kernel may serve several problems. Belongs into prepare, not into a Launch.
template <class... Parameters>
void allow_shared(void (*kernel)(Parameters...), std::int64_t bytes) {
  cudaFuncAttributes attributes = {};
  check(cudaFuncGetAttributes(&attributes, kernel), "asking what a kernel may have");
  // Set in any case: else static and dynamic memory together may not pass 48 KB.
  const auto asked = static_cast<int>(bytes);
  const int most = asked < 0 ? asked : std::max(asked, attributes.maxDynamicSharedSizeBytes);
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, most),
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

// Likewise, of clusters of `cluster` blocks.
template <class... Parameters>
std::int64_t resident_clusters(void (*kernel)(Parameters...), int threads,
                               std::int64_t shared_bytes, int cluster) {
  cudaLaunchAttribute attribute = {};
  attribute.id = cudaLaunchAttributeClusterDimension;
  attribute.val.clusterDim = {static_cast<unsigned>(cluster), 1, 1};
  cudaLaunchConfig_t config = {};
  config.gridDim = dim3(static_cast<unsigned>(cluster));
  config.blockDim = dim3(static_cast<unsigned>(threads));
  config.dynamicSmemBytes = static_cast<std::size_t>(shared_bytes);
  config.attrs = &attribute;
  config.numAttrs = 1;
  int clusters = 0;
  check(cudaOccupancyMaxActiveClusters(&clusters, kernel, &config),
        "asking for the occupancy of a kernel in clusters");
  return std::max(1, clusters);
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

#endif

}  // namespace assay::ASSAY_TWIN
