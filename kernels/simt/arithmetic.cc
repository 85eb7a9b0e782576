// Instructions whose results are not exactly rounded: where they may err, they do.
#include <bit>
#include <cstring>

#include "harness/core/simd.h"
#include "kernels/simt/executor.h"
#include "kernels/simt/launch.h"

namespace assay::executor {

double error_share(std::uint32_t operation, std::uint32_t bits) {
  std::uint64_t x =
      settings().seed * 0x9e3779b97f4a7c15u + (static_cast<std::uint64_t>(operation) << 32 | bits);
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
  x = (x ^ x >> 27) * 0x94d049bb133111ebu;
  x ^= x >> 31;
  return static_cast<double>(static_cast<std::int64_t>(x)) * 0x1p-63;
}

namespace {

constexpr int kM = 16, kN = 8, kK = 16;
constexpr int kGroup = 8;  // products that the hardware adds at once

float widen_bf16(std::uint32_t bits) { return std::bit_cast<float>(bits << 16); }

// C (16 x 8) += A (16 x 16) B (16 x 8), a row of C at a time.
struct MultiplyAdd {
  using Floats = simd_vector<float, kN>;
  using Ints = simd_vector<std::int32_t, kN>;

  static ASSAY_INLINE Floats power(Ints of) { return reinterpret_cast<Floats>((of + 127) << 23); }

  // Times 2^of, in two steps: a float holds no power above 2^127.
  static ASSAY_INLINE Floats scale(Floats x, Ints of) {
    const Ints half = of >> 1;
    return x * power(half) * power(of - half);
  }

  // The sums of accumulators and eight exact products as tensor cores form them: aligned to the
  // largest exponent and cut off below its 24th bit, the sum cut off to fp32. (Measured devices
  // keep one to three bits more; with fewer nothing that relies on them passes.)
  static ASSAY_INLINE Floats add_at_once(Floats c, const float* a, const Floats* b) {
    constexpr std::int32_t kInfinite = 0x7f800000;
    const auto magnitude_bits = [](Floats x) ASSAY_INLINE_LAMBDA {
      return reinterpret_cast<Ints>(x) & 0x7fffffff;
    };
    Floats products[kGroup];
    Ints largest = magnitude_bits(c);  // as bits: in the order of the values, NaN above all
    for (int k = 0; k < kGroup; ++k) {
      products[k] = a[k] * b[k];  // 16 bits of fraction at most: exact but for underflow
      const Ints bits = magnitude_bits(products[k]);
      largest = bits > largest ? bits : largest;
    }
    // |x| < 2^exponent for all of them, so that integers of 25 bits take them.
    const Ints field = largest >> 23;
    const Ints exponent = field - (field == 0) - 126;  // a comparison gives -1
    Ints sum = __builtin_convertvector(scale(c, 24 - exponent), Ints);
    for (int k = 0; k < kGroup; ++k)
      sum += __builtin_convertvector(scale(products[k], 24 - exponent), Ints);
    // 28 bits at most; those below fp32's 24 are cut off.
    const Ints sign = sum >> 31;
    Ints magnitude = (sum ^ sign) - sign;
    magnitude &= ~(((magnitude >= 1 << 24) & 1) | ((magnitude >= 1 << 25) & 2) |
                   ((magnitude >= 1 << 26) & 4) | ((magnitude >= 1 << 27) & 8));
    Floats result =
        scale(__builtin_convertvector((magnitude ^ sign) - sign, Floats), exponent - 24);
    bool finite = true;
    for (int n = 0; n < kN; ++n) finite &= largest[n] < kInfinite;
    if (!finite) {
      for (int n = 0; n < kN; ++n) {
        if (largest[n] < kInfinite) continue;
        result[n] = c[n];
        for (int k = 0; k < kGroup; ++k) result[n] += products[k][n];
      }
    }
    return result;
  }

  template <Isa>
  static ASSAY_INLINE void run(Mma* const* lanes) {
    float a[kM][kK], b[kK][kN], c[kM][kN];
    for (int lane = 0; lane < 32; ++lane) {
      const Mma& mine = *lanes[lane];
      const int g = lane / 4, t = lane % 4;
      for (int i = 0; i < 4; ++i) {
        float* to = &a[g + i % 2 * 8][2 * t + i / 2 * 8];
        to[0] = widen_bf16(mine.a[i]);
        to[1] = std::bit_cast<float>(mine.a[i] & 0xffff0000u);
        c[g + i / 2 * 8][2 * t + i % 2] = mine.c[i];
      }
      for (int i = 0; i < 2; ++i) {
        b[2 * t + i * 8][g] = widen_bf16(mine.b[i]);
        b[2 * t + i * 8 + 1][g] = std::bit_cast<float>(mine.b[i] & 0xffff0000u);
      }
    }
    Floats columns[kK];
    std::memcpy(columns, b, sizeof b);
    for (int m = 0; m < kM; ++m) {
      Floats row;
      std::memcpy(&row, c[m], sizeof row);
      for (int k = 0; k < kK; k += kGroup) row = add_at_once(row, a[m] + k, columns + k);
      std::memcpy(c[m], &row, sizeof row);
    }
    for (int lane = 0; lane < 32; ++lane) {
      const int g = lane / 4, t = lane % 4;
      for (int i = 0; i < 4; ++i) lanes[lane]->c[i] = c[g + i / 2 * 8][2 * t + i % 2];
    }
  }
};

}  // namespace

void mma_m16n8k16(Mma* const* lanes) { run_simd<MultiplyAdd>(lanes); }

}  // namespace assay::executor
