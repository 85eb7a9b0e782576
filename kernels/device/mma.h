// Tensor-core products of bf16 with fp32 accumulation, as warp collectives, and the loads and
// stores of matrices that lay out their operands and results.
//
// In what follows lane = 4 g + t. A word holds two neighbours, the first in its low half.
//   A (16 x 16): a[0] = A[g][2t, 2t+1]   a[1] = A[g+8][2t, 2t+1]   a[2] = A[g][2t+8, +9]   a[3] =
//   A[g+8][2t+8, +9] B (16 x 8):  b[0] = B[2t, 2t+1][g]   b[1] = B[2t+8, 2t+9][g] C (16 x 8): c[0],
//   c[1] = C[g][2t, 2t+1]   c[2], c[3] = C[g+8][2t, 2t+1]
#pragma once

#include <cstdint>

#include "kernels/device/vector.h"
#include "kernels/device/warp.h"

namespace assay::ASSAY_TWIN {

// c += A B. A product of two bf16 is exact; eight of them and the accumulator are added at once,
// with the alignment shifts and the result cut off rather than rounded.
ASSAY_DEVICE void mma_m16n8k16(float (&c)[4], const std::uint32_t (&a)[4],
                               const std::uint32_t (&b)[2]) {
#if ASSAY_SIMT
  executor::Mma mine = {{c[0], c[1], c[2], c[3]}, {a[0], a[1], a[2], a[3]}, {b[0], b[1]}};
  executor::converge(kFullMask, "mma", mine,
                     [](executor::Mma* const* lanes, unsigned) { executor::mma_m16n8k16(lanes); });
  for (int i = 0; i < 4; ++i) c[i] = mine.c[i];
#else
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}

// The same with 8 columns of A and rows of B: a[0] = A[g][2t, 2t+1], a[1] = A[g+8][2t, 2t+1], b =
// B[2t, 2t+1][g].
ASSAY_DEVICE void mma_m16n8k8(float (&c)[4], const std::uint32_t (&a)[2], std::uint32_t b) {
#if ASSAY_SIMT
  mma_m16n8k16(c, {a[0], a[1], 0u, 0u}, {b, 0u});
#else
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, "
      "{%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(b));
#endif
}

#if ASSAY_SIMT
// What a lane brings to ldmatrix and takes away.
struct MatrixLane {
  const std::uint16_t* row;
  std::uint32_t words[4];
};

template <bool kTransposed>
ASSAY_DEVICE void ldmatrix_on_host(std::uint32_t (&out)[4], const void* row) {
  executor::require_aligned(row, 16);
  executor::check_read(row, 16);
  MatrixLane mine = {static_cast<const std::uint16_t*>(row), {}};
  executor::converge(kFullMask, "ldmatrix", mine, [](MatrixLane* const* lanes, unsigned) {
    for (int lane = 0; lane < kWarpSize; ++lane) {
      const int g = lane / 4, t = lane % 4;
      for (int i = 0; i < 4; ++i) {
        const auto element = [&](int r, int column) -> std::uint32_t {
          return lanes[8 * i + r]->row[column];
        };
        lanes[lane]->words[i] = kTransposed ? element(2 * t, g) | element(2 * t + 1, g) << 16
                                            : element(g, 2 * t) | element(g, 2 * t + 1) << 16;
      }
    }
  });
  for (int i = 0; i < 4; ++i) out[i] = mine.words[i];
}
#endif

// Four 8 x 8 matrices of 16-bit elements from shared memory. Lanes 8i to 8i+7 pass the addresses of
// the rows of matrix i (16 bytes each, aligned to 16); lane 4g + t gets out[i] = M_i[g][2t, 2t+1].
ASSAY_DEVICE void ldmatrix_x4(std::uint32_t (&out)[4], const void* row) {
#if ASSAY_SIMT
  ldmatrix_on_host<false>(out, row);
#else
  const auto address = static_cast<unsigned>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
               : "r"(address)
               : "memory");
#endif
}

// The same, transposed: lane 4g + t gets out[i] = (M_i[2t][g], M_i[2t+1][g]).
ASSAY_DEVICE void ldmatrix_x4_transposed(std::uint32_t (&out)[4], const void* row) {
#if ASSAY_SIMT
  ldmatrix_on_host<true>(out, row);
#else
  const auto address = static_cast<unsigned>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
               : "r"(address)
               : "memory");
#endif
}

// Two such matrices to shared memory, transposed (sm_90): lanes 8i to 8i+7 (i = 0, 1) pass the
// addresses of the rows of matrix i, lane 4g + t brings words[i] = (M_i[2t][g], M_i[2t+1][g]).
ASSAY_DEVICE void stmatrix_x2_transposed(void* row, const std::uint32_t (&words)[2]) {
#if ASSAY_SIMT
  struct Lane {
    std::uint32_t words[2];
    std::uint32_t row[4];
  } mine = {{words[0], words[1]}, {}};
  executor::converge(kFullMask, "stmatrix", mine, [](Lane* const* lanes, unsigned) {
    for (int lane = 0; lane < 16; ++lane) {
      const int i = lane / 8, r = lane % 8;
      for (int g = 0; g < 8; ++g) {
        const std::uint32_t bits = lanes[4 * g + r / 2]->words[i] >> (r % 2 * 16) & 0xffffu;
        lanes[lane]->row[g / 2] |= bits << (g % 2 * 16);
      }
    }
  });
  if (lane_index() < 16) store_words(row, mine.row);
#else
  const auto address = static_cast<unsigned>(__cvta_generic_to_shared(row));
  asm volatile("stmatrix.sync.aligned.m8n8.x2.trans.shared.b16 [%0], {%1, %2};" ::"r"(address),
               "r"(words[0]), "r"(words[1])
               : "memory");
#endif
}

}  // namespace assay::ASSAY_TWIN
