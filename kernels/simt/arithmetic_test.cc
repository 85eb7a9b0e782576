// mma against the same sums written down in double and 64-bit integers, bit by bit.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>

#include "harness/testing.h"
#include "kernels/simt/executor.h"

namespace assay::executor {
namespace {

float add_at_once(float c, const float* a, const float* b) {
  float products[8];
  float largest = std::abs(c);
  bool finite = std::isfinite(c);
  for (int k = 0; k < 8; ++k) {
    products[k] = a[k] * b[k];
    largest = std::max(largest, std::abs(products[k]));
    finite = finite && std::isfinite(products[k]);
  }
  if (!finite) {
    for (const float product : products) c += product;
    return c;
  }
  if (largest == 0) return 0;
  int exponent = 0;  // largest < 2^exponent
  std::frexp(largest, &exponent);
  exponent = std::max(exponent, -125);
  auto sum = static_cast<std::int64_t>(std::ldexp(static_cast<double>(c), 24 - exponent));
  for (const float product : products)
    sum += static_cast<std::int64_t>(std::ldexp(static_cast<double>(product), 24 - exponent));
  const std::int64_t magnitude = std::abs(sum);
  const int excess = std::max(0, 40 - std::countl_zero(static_cast<std::uint64_t>(magnitude)));
  const std::int64_t kept = magnitude >> excess << excess;
  return static_cast<float>(std::ldexp(static_cast<double>(sum < 0 ? -kept : kept), exponent - 24));
}

struct Fragments {
  Mma lanes[32];
  float a[16][16], b[8][16], c[16][8];  // b transposed

  // `next` gives the bits of a bf16.
  template <class F>
  explicit Fragments(F next) {
    const auto pair = [&](float& low, float& high) {
      const std::uint32_t first = next(), second = next();
      low = std::bit_cast<float>(first << 16);
      high = std::bit_cast<float>(second << 16);
      return first | second << 16;
    };
    for (int lane = 0; lane < 32; ++lane) {
      const int g = lane / 4, t = lane % 4;
      for (int i = 0; i < 4; ++i) {
        float* to = &a[g + i % 2 * 8][2 * t + i / 2 * 8];
        lanes[lane].a[i] = pair(to[0], to[1]);
        float& sum = c[g + i / 2 * 8][2 * t + i % 2];
        sum = std::bit_cast<float>(next() << 16 | next());
        lanes[lane].c[i] = sum;
      }
      for (int i = 0; i < 2; ++i) {
        float* to = &b[g][2 * t + i * 8];
        lanes[lane].b[i] = pair(to[0], to[1]);
      }
    }
  }
};

void check_bits(Fragments& x) {
  Mma* pointers[32];
  for (int lane = 0; lane < 32; ++lane) pointers[lane] = &x.lanes[lane];
  mma_m16n8k16(pointers);
  int different = 0;
  for (int lane = 0; lane < 32; ++lane) {
    for (int i = 0; i < 4; ++i) {
      const int m = lane / 4 + i / 2 * 8, n = lane % 4 * 2 + i % 2;
      float want = add_at_once(x.c[m][n], x.a[m], x.b[n]);
      want = add_at_once(want, x.a[m] + 8, x.b[n] + 8);
      const float got = x.lanes[lane].c[i];
      if (std::isnan(want)
              ? !std::isnan(got)
              : std::bit_cast<std::uint32_t>(want) != std::bit_cast<std::uint32_t>(got))
        ++different;
    }
  }
  CHECK(different == 0);
}

}  // namespace

TEST_CASE("mma has the bits of the sums it stands for, whatever the operands") {
  std::mt19937 generator(1);
  const auto bits = [&] { return static_cast<std::uint32_t>(generator()) & 0xffffu; };
  for (int round = 0; round < 200; ++round) {
    Fragments any(bits);  // all exponents, infinities and NaN
    check_bits(any);
    // Near each other, with either sign; at either end of the range; few bits; zeros.
    for (const std::uint32_t exponent : {0x3f80u, 0x5e00u, 0x5f80u, 0x2000u, 0x0000u}) {
      Fragments near([&] { return (exponent + (bits() & 0x3ffu)) | (bits() & 0x8000u); });
      check_bits(near);
    }
    Fragments sparse([&] { return bits() % 4 == 0 ? bits() & 0xbfffu : bits() & 0x8000u; });
    check_bits(sparse);
  }
}

}  // namespace assay::executor
