// A kernel to wait behind and plain streaming kernels; see the header.
#include <algorithm>

#include "harness/backend/cuda_kernels.h"

namespace assay {
namespace cuda_backend {

__device__ unsigned long long nanoseconds() {
  unsigned long long time;
  asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(time));
  return time;
}

__global__ void spin(const volatile int* go, unsigned long long limit) {
  const unsigned long long start = nanoseconds();
  while (*go == 0 && nanoseconds() - start < limit) __nanosleep(500);
}

__global__ void nothing() {}

__global__ void marker() {}

__global__ void stamp(ClockStamp* stamps, std::size_t multiprocessors) {
  unsigned unit;
  asm volatile("mov.u32 %0, %%smid;" : "=r"(unit));
  if (unit < multiprocessors) stamps[unit] = {static_cast<std::uint64_t>(clock64()), nanoseconds()};
}

template <int kUnroll>
__global__ void stream(const uint4* in, int reads, uint4* out, int writes, std::size_t length) {
  const std::size_t step = static_cast<std::size_t>(gridDim.x) * blockDim.x * kUnroll;
  std::size_t first = static_cast<std::size_t>(blockIdx.x) * blockDim.x * kUnroll + threadIdx.x;
  for (; first < length; first += step) {
    uint4 sum[kUnroll] = {};
#pragma unroll 4
    for (int array = 0; array < reads; ++array) {
#pragma unroll
      for (int u = 0; u < kUnroll; ++u) {
        const std::size_t i = first + static_cast<std::size_t>(u) * blockDim.x;
        if (i >= length) continue;
        const uint4 x = in[array * length + i];
        sum[u].x ^= x.x, sum[u].y ^= x.y, sum[u].z ^= x.z, sum[u].w ^= x.w;
      }
    }
    for (int array = 0; array < writes; ++array) {
#pragma unroll
      for (int u = 0; u < kUnroll; ++u) {
        const std::size_t i = first + static_cast<std::size_t>(u) * blockDim.x;
        if (i < length) out[array * length + i] = sum[u];
      }
    }
    if (writes != 0) continue;
    unsigned any =
        0;  // stays 0, since `in` holds zeros; keeps the reads alive where nothing is written
#pragma unroll
    for (int u = 0; u < kUnroll; ++u) any |= sum[u].x | sum[u].y | sum[u].z | sum[u].w;
    if (any == 0x5eed) out[0] = sum[0];
  }
}

}  // namespace cuda_backend

void launch_spin(const volatile int* go, double limit_seconds, cudaStream_t stream) {
  cuda_backend::spin<<<1, 1, 0, stream>>>(go, static_cast<unsigned long long>(limit_seconds * 1e9));
}

void launch_marker(cudaStream_t stream) { cuda_backend::marker<<<1, 32, 0, stream>>>(); }

void launch_nothing(cudaStream_t stream) { cuda_backend::nothing<<<1, 32, 0, stream>>>(); }

void launch_stamp(ClockStamp* stamps, std::size_t multiprocessors, cudaStream_t stream) {
  cuda_backend::stamp<<<static_cast<unsigned>(multiprocessors), 1, 0, stream>>>(stamps,
                                                                                multiprocessors);
}

void launch_stream(const StreamShape& shape, int multiprocessors, const void* in, int reads,
                   void* out, int writes, std::size_t length, cudaStream_t stream) {
  const std::size_t piece = static_cast<std::size_t>(shape.threads) * shape.unroll;
  const std::size_t pieces = (length + piece - 1) / piece;
  const std::size_t resident =
      static_cast<std::size_t>(multiprocessors) * shape.blocks_per_multiprocessor;
  const auto blocks = static_cast<unsigned>(
      shape.blocks_per_multiprocessor == 0 ? pieces : std::min(pieces, resident));
  const auto kernel = shape.unroll == 1   ? cuda_backend::stream<1>
                      : shape.unroll == 2 ? cuda_backend::stream<2>
                                          : cuda_backend::stream<4>;
  kernel<<<blocks, shape.threads, 0, stream>>>(static_cast<const uint4*>(in), reads,
                                               static_cast<uint4*>(out), writes, length);
}

}  // namespace assay
