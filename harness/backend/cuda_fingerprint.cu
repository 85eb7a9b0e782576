// Sums of integers: the order in which blocks add theirs makes no difference.
#include "harness/backend/cuda_fingerprint.h"

namespace assay {
namespace cuda_backend {

constexpr int kThreads = 256;
constexpr int kUnroll = 4;  // vectors of 16 bytes that a thread has under way

// Of all threads of the block into *sum.
__device__ void add_block(Fingerprint mine, Fingerprint* sum) {
  __shared__ std::uint64_t first[kThreads / 32], second[kThreads / 32];
  for (int offset = 16; offset > 0; offset /= 2) {
    mine.first +=
        __shfl_down_sync(0xffffffffu, static_cast<unsigned long long>(mine.first), offset);
    mine.second +=
        __shfl_down_sync(0xffffffffu, static_cast<unsigned long long>(mine.second), offset);
  }
  if (threadIdx.x % 32 == 0) {
    first[threadIdx.x / 32] = mine.first;
    second[threadIdx.x / 32] = mine.second;
  }
  __syncthreads();
  if (threadIdx.x != 0) return;
  for (int warp = 1; warp < kThreads / 32; ++warp) {
    mine.first += first[warp];
    mine.second += second[warp];
  }
  atomicAdd(reinterpret_cast<unsigned long long*>(&sum->first), mine.first);
  atomicAdd(reinterpret_cast<unsigned long long*>(&sum->second), mine.second);
}

// The word at `index`, whose bytes lie from memory + 8·index on: out of the one or two aligned
// words that hold them, of which none without a byte of its own is read.
__device__ std::uint64_t word_at(const unsigned char* memory, std::int64_t bytes,
                                 std::int64_t index) {
  const auto address = reinterpret_cast<std::uintptr_t>(memory) + 8 * index;
  const auto* aligned = reinterpret_cast<const std::uint64_t*>(address & ~std::uintptr_t{7});
  const int shift = static_cast<int>(address % 8) * 8;
  const std::int64_t left = bytes - 8 * index;  // bytes of this word, or more
  std::uint64_t word = aligned[0] >> shift;
  if (shift > 0 && left > 8 - shift / 8) word |= aligned[1] << (64 - shift);
  if (left < 8) word &= (std::uint64_t{1} << (8 * left)) - 1;
  return word;
}

// `vectors` of two words at the begin of an aligned array, then words from `first_word` to the end.
__global__ void __launch_bounds__(kThreads)
    fingerprint(const unsigned char* memory, std::int64_t bytes, std::int64_t vectors,
                Fingerprint* sum) {
  Fingerprint mine;
  const std::int64_t thread = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  const std::int64_t threads = static_cast<std::int64_t>(gridDim.x) * kThreads;
  const auto* const whole = reinterpret_cast<const ulonglong2*>(memory);
  std::int64_t i = thread;
  for (; i + (kUnroll - 1) * threads < vectors; i += kUnroll * threads) {
    ulonglong2 read[kUnroll];
#pragma unroll
    for (int u = 0; u < kUnroll; ++u) read[u] = whole[i + u * threads];
#pragma unroll
    for (int u = 0; u < kUnroll; ++u) {
      const auto index = static_cast<std::uint64_t>(2 * (i + u * threads));
      add_word(mine, read[u].x, index);
      add_word(mine, read[u].y, index + 1);
    }
  }
  for (; i < vectors; i += threads) {
    const ulonglong2 read = whole[i];
    add_word(mine, read.x, static_cast<std::uint64_t>(2 * i));
    add_word(mine, read.y, static_cast<std::uint64_t>(2 * i + 1));
  }
  const std::int64_t words = (bytes + 7) / 8;
  for (std::int64_t word = 2 * vectors + thread; word < words; word += threads)
    add_word(mine, word_at(memory, bytes, word), static_cast<std::uint64_t>(word));
  if (thread == 0) add_length(mine, bytes);
  add_block(mine, sum);
}

}  // namespace cuda_backend

void launch_fingerprint(const void* memory, std::int64_t bytes, Fingerprint* sum,
                        int multiprocessors, cudaStream_t stream) {
  using cuda_backend::kThreads;
  const bool is_aligned = reinterpret_cast<std::uintptr_t>(memory) % 16 == 0;
  const std::int64_t vectors = is_aligned ? bytes / 16 : 0;
  const std::int64_t pieces = (bytes / 16 + kThreads) / kThreads;
  constexpr std::int64_t kBlocks = 8;  // on a multiprocessor: all of its 2048 threads
  const auto blocks = static_cast<unsigned>(
      pieces < kBlocks * multiprocessors ? pieces : kBlocks * multiprocessors);
  cuda_backend::fingerprint<<<blocks, kThreads, 0, stream>>>(
      static_cast<const unsigned char*>(memory), bytes, vectors, sum);
}

}  // namespace assay
