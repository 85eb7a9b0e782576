// Copies between device memory and ordinary host memory by way of pinned memory: the driver's own
// way is several times slower, and a sweep of large problems spends its time there.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

#include "harness/backend/cuda_handles.h"
#include "harness/core/parallel.h"

namespace assay {

class CudaStaging {
 public:
  static constexpr std::int64_t kChunk = 4 << 20;  // bytes
  // Smaller copies are left to the driver.

  static constexpr std::int64_t kWorthwhile = 1 << 20;

  explicit CudaStaging(cudaStream_t stream) : stream_(stream) {}

  // Synchronous. While one chunk is on its way, the one before (after) it is copied by all threads.
  void download(void* host, const void* device, std::int64_t bytes) {
    const auto fetch = [&](std::int64_t at) {
      const int side = side_of(at);
      check(cudaMemcpyAsync(buffers_[side].data(), static_cast<const char*>(device) + at,
                            size_at(at, bytes), cudaMemcpyDeviceToHost, stream_),
            "copying from device memory");
      done_[side].record(stream_);
    };
    fetch(0);
    for (std::int64_t at = 0; at < bytes; at += kChunk) {
      if (at + kChunk < bytes) fetch(at + kChunk);
      done_[side_of(at)].wait("copying from device memory");
      copy(static_cast<char*>(host) + at, buffers_[side_of(at)].data(), size_at(at, bytes));
    }
  }

  void upload(void* device, const void* host, std::int64_t bytes) {
    for (std::int64_t at = 0; at < bytes; at += kChunk) {
      const int side = side_of(at);
      if (at >= 2 * kChunk) done_[side].wait("copying to device memory");
      copy(buffers_[side].data(), static_cast<const char*>(host) + at, size_at(at, bytes));
      check(cudaMemcpyAsync(static_cast<char*>(device) + at, buffers_[side].data(),
                            size_at(at, bytes), cudaMemcpyHostToDevice, stream_),
            "copying to device memory");
      done_[side].record(stream_);
    }
    check(cudaStreamSynchronize(stream_), "copying to device memory");
  }

 private:
  static int side_of(std::int64_t at) { return static_cast<int>(at / kChunk % 2); }
  static std::size_t size_at(std::int64_t at, std::int64_t bytes) {
    return static_cast<std::size_t>(std::min(kChunk, bytes - at));
  }
  static void copy(void* to, const void* from, std::size_t bytes) {
    constexpr std::int64_t kGrain = 64 << 10;
    parallel_for(
        static_cast<std::int64_t>(bytes), kGrain, [=](std::int64_t begin, std::int64_t end) {
          std::memcpy(static_cast<char*>(to) + begin, static_cast<const char*>(from) + begin,
                      static_cast<std::size_t>(end - begin));
        });
  }

  cudaStream_t stream_;
  CudaPinned buffers_[2] = {CudaPinned(kChunk), CudaPinned(kChunk)};
  CudaEvent done_[2];
};

}  // namespace assay
