// Instructions whose results are not exactly rounded: where they may err, they do.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

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

float widen_bf16(std::uint32_t bits) {
  bits <<= 16;
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}

// The sum of the accumulator and eight exact products as tensor cores form it: aligned to the
// largest exponent and cut off below its 24th bit, the sum cut off to fp32. (Measured devices keep
// one to three bits more; with fewer nothing that relies on them passes.)
float add_at_once(float c, const float* a, const float* b) {
  float products[kGroup];
  float largest = std::abs(c);
  bool finite = std::isfinite(c);
  for (int k = 0; k < kGroup; ++k) {
    products[k] = a[k] * b[k];  // 16 bits of fraction at most: exact but for underflow
    largest = std::max(largest, std::abs(products[k]));
    finite = finite && std::isfinite(products[k]);
  }
  if (!finite) {
    for (int k = 0; k < kGroup; ++k) c += products[k];
    return c;
  }
  if (largest == 0) return 0;
  // largest < 2^exponent; powers of two from their bits.
  const int exponent =
      std::max(1, static_cast<int>(std::bit_cast<std::uint32_t>(largest) >> 23)) - 126;
  const auto power = [](int of) {
    return std::bit_cast<double>(static_cast<std::uint64_t>(1023 + of) << 52);
  };
  const double unit = power(exponent - 24), inverse = power(24 - exponent);
  auto sum = static_cast<std::int64_t>(static_cast<double>(c) * inverse);
  for (int k = 0; k < kGroup; ++k)
    sum += static_cast<std::int64_t>(static_cast<double>(products[k]) * inverse);
  // 28 bits at most; those below fp32's 24 are cut off.
  std::int64_t magnitude = sum < 0 ? -sum : sum;
  const int excess = std::max(0, 40 - std::countl_zero(static_cast<std::uint64_t>(magnitude)));
  magnitude = magnitude >> excess << excess;
  return static_cast<float>(static_cast<double>(sum < 0 ? -magnitude : magnitude) * unit);
}

}  // namespace

void mma_m16n8k16(Mma* const* lanes) {
  float a[kM][kK], b[kN][kK];  // b transposed
  for (int lane = 0; lane < 32; ++lane) {
    const Mma& mine = *lanes[lane];
    const int g = lane / 4, t = lane % 4;
    for (int i = 0; i < 4; ++i) {
      float* to = &a[g + i % 2 * 8][2 * t + i / 2 * 8];
      to[0] = widen_bf16(mine.a[i] & 0xffffu);
      to[1] = widen_bf16(mine.a[i] >> 16);
    }
    for (int i = 0; i < 2; ++i) {
      float* to = &b[g][2 * t + i * 8];
      to[0] = widen_bf16(mine.b[i] & 0xffffu);
      to[1] = widen_bf16(mine.b[i] >> 16);
    }
  }
  for (int lane = 0; lane < 32; ++lane) {
    const int g = lane / 4, t = lane % 4;
    for (int i = 0; i < 4; ++i) {
      float& c = lanes[lane]->c[i];
      const float* row = a[g + i / 2 * 8];
      const float* column = b[2 * t + i % 2];
      c = add_at_once(c, row, column);
      c = add_at_once(c, row + kGroup, column + kGroup);
    }
  }
}

}  // namespace assay::executor
