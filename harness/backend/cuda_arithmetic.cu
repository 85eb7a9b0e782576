// Operands are random numbers of ordinary size: with zeros the multipliers take less power, and a
// card at its power limit would run faster than any kernel can.
#include <cstdint>

#include "harness/backend/cuda_arithmetic.h"

namespace assay {
namespace cuda_backend {

constexpr int kWarp = 32;

__device__ unsigned random_word(unsigned index) {
  unsigned x = (index + 1) * 0x9e3779b9u;
  x ^= x >> 16;
  x *= 0x85ebca6bu;
  x ^= x >> 13;
  x *= 0xc2b2ae35u;
  return x ^ (x >> 16);
}

// Two 16-bit numbers between 1/2 and 1 in magnitude, of either sign.
__device__ unsigned random_pair(unsigned index, Arithmetic arithmetic) {
  const unsigned mantissas = arithmetic == Arithmetic::matrix_bf16 ? 0x807f807fu : 0x83ff83ffu;
  const unsigned exponents = arithmetic == Arithmetic::matrix_bf16 ? 0x3f003f00u : 0x38003800u;
  return (random_word(index) & mantissas) | exponents;
}

template <int kCount>
__device__ void finish(const float (&sums)[kCount], double operations, double* ran) {
  float sum = 0;
#pragma unroll
  for (int i = 0; i < kCount; ++i) sum += sums[i];
  if (sum == 0x1p-100f) ran[1] = sum;  // which it is not, but the compiler cannot know
  if (blockIdx.x == 0 && threadIdx.x == 0) ran[0] = operations * gridDim.x;
}

constexpr int kFmaThreads = 1024, kChains = 16, kFmaSteps = 8;

__global__ void __launch_bounds__(kFmaThreads) fma(int rounds, double* ran) {
  float sums[kChains];
  for (int i = 0; i < kChains; ++i) {
    sums[i] = static_cast<float>(random_word(threadIdx.x * kChains + i)) * 0x1p-32f;
  }
  // To and fro, so that nothing grows or settles.
  const float factor = 0.5f + 0x1p-12f * static_cast<float>(threadIdx.x), back = 1 / factor;
  const float added = 0.75f - 0x1p-12f * static_cast<float>(threadIdx.x), less = -added * back;
  for (int round = 0; round < rounds; ++round) {
#pragma unroll
    for (int step = 0; step < kFmaSteps; ++step) {
#pragma unroll
      for (int i = 0; i < kChains; ++i) {
        sums[i] = step % 2 == 0 ? fmaf(sums[i], factor, added) : fmaf(sums[i], back, less);
      }
    }
  }
  finish(sums, 2.0 * kFmaSteps * kChains * kFmaThreads * rounds, ran);
}

constexpr int kMatrixThreads = 256, kTiles = 8;

template <Arithmetic kArithmetic>
__global__ void __launch_bounds__(kMatrixThreads, 2) warp_matrix(int rounds, double* ran) {
#if __CUDA_ARCH__ >= 800
  float sums[kTiles * 4] = {};
  unsigned a[4], b[kTiles][2];
  for (int i = 0; i < 4; ++i) a[i] = random_pair(threadIdx.x * 4 + i, kArithmetic);
  for (int i = 0; i < kTiles * 2; ++i) {
    b[i / 2][i % 2] = random_pair(threadIdx.x * kTiles * 2 + i + 4096, kArithmetic);
  }
  for (int round = 0; round < rounds; ++round) {
#pragma unroll
    for (int tile = 0; tile < kTiles; ++tile) {
      float* const d = sums + 4 * tile;
      if constexpr (kArithmetic == Arithmetic::matrix_bf16) {
        asm volatile(
            "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
            "{%8,%9}, {%0,%1,%2,%3};"
            : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
            : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[tile][0]), "r"(b[tile][1]));
      } else {
        asm volatile(
            "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
            "{%8,%9}, {%0,%1,%2,%3};"
            : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
            : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[tile][0]), "r"(b[tile][1]));
      }
    }
  }
  finish(sums, 2.0 * 16 * 8 * 16 * kTiles * (kMatrixThreads / kWarp) * rounds, ran);
#endif
}

// Four warpgroups, whose products of 64 x 128 x 16 follow one another: the left factor from
// registers, the right one, the same for all, from shared memory.
constexpr int kGroupThreads = 512;

template <Arithmetic kArithmetic>
__global__ void __launch_bounds__(kGroupThreads, 1) warpgroup_matrix(int rounds, double* ran) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  constexpr int kGroup = 128, kSteps = 8;
  // Eight rows of 16 bytes are one piece of 128 bytes; pieces of a column of such follow each
  // other, no swizzle.
  __shared__ alignas(128) unsigned right[128 * 16 / 2];
  for (unsigned i = threadIdx.x; i < 128 * 16 / 2; i += kGroupThreads) {
    right[i] = random_pair(i, kArithmetic);
  }
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
  __syncthreads();
  const auto address = static_cast<std::uint64_t>(__cvta_generic_to_shared(right));
  const std::uint64_t descriptor = ((address & 0x3ffff) >> 4) | (std::uint64_t{2048 >> 4} << 16) |
                                   (std::uint64_t{128 >> 4} << 32);
  unsigned a[4];
  for (int i = 0; i < 4; ++i) a[i] = random_pair(threadIdx.x * 4 + i + 4096, kArithmetic);
  float d[64] = {};
#define ASSAY_EIGHT(i)                                                                        \
  "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3]), "+f"(d[i + 4]), "+f"(d[i + 5]), \
      "+f"(d[i + 6]), "+f"(d[i + 7])
#define ASSAY_PRODUCT(types)                                                                      \
  asm volatile("wgmma.mma_async.sync.aligned.m64n128k16.f32." types                               \
               " {%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21," \
               "%22,%23,%24,%25,%26,%27,%28,%29,%30,%31,%32,%33,%34,%35,%36,%37,%38,%39,%40,%41," \
               "%42,%43,%44,%45,%46,%47,%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61," \
               "%62,%63}, {%64,%65,%66,%67}, %68, 1, 1, 1, 0;"                                    \
               : ASSAY_EIGHT(0), ASSAY_EIGHT(8), ASSAY_EIGHT(16), ASSAY_EIGHT(24),                \
                 ASSAY_EIGHT(32), ASSAY_EIGHT(40), ASSAY_EIGHT(48), ASSAY_EIGHT(56)               \
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(descriptor))
  for (int round = 0; round < rounds; ++round) {
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
#pragma unroll
    for (int step = 0; step < kSteps; ++step) {
      if constexpr (kArithmetic == Arithmetic::matrix_bf16) {
        ASSAY_PRODUCT("bf16.bf16");
      } else {
        ASSAY_PRODUCT("f16.f16");
      }
    }
    asm volatile("wgmma.commit_group.sync.aligned;\nwgmma.wait_group.sync.aligned 0;" ::: "memory");
  }
#undef ASSAY_PRODUCT
#undef ASSAY_EIGHT
  finish(d, 2.0 * 64 * 128 * 16 * kSteps * (kGroupThreads / kGroup) * rounds, ran);
#endif
}

}  // namespace cuda_backend

void launch_arithmetic(ArithmeticKernel kernel, Arithmetic arithmetic, int multiprocessors,
                       int rounds, double* ran, cudaStream_t stream) {
  using namespace cuda_backend;
  const bool bf16 = arithmetic == Arithmetic::matrix_bf16;
  const auto blocks = static_cast<unsigned>(multiprocessors);
  if (kernel == ArithmeticKernel::fma) {
    fma<<<2 * blocks, kFmaThreads, 0, stream>>>(rounds, ran);
  } else if (kernel == ArithmeticKernel::warp_matrix) {
    const auto product =
        bf16 ? warp_matrix<Arithmetic::matrix_bf16> : warp_matrix<Arithmetic::matrix_f16>;
    product<<<2 * blocks, kMatrixThreads, 0, stream>>>(rounds, ran);
  } else {
    const auto product =
        bf16 ? warpgroup_matrix<Arithmetic::matrix_bf16> : warpgroup_matrix<Arithmetic::matrix_f16>;
    product<<<blocks, kGroupThreads, 0, stream>>>(rounds, ran);
  }
}

}  // namespace assay
