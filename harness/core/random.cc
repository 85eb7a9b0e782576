// Philox4x32-10 and Box–Muller as straight-line code for one lane, which the compiler vectorises
// over the 16 blocks of a group. Bits must not depend on the machine: only IEEE + - * / sqrt in a
// fixed order, no library function, and this file is compiled with -ffp-contract=off, since a fused
// multiply-add rounds once where others round twice (and with -fno-math-errno, without which no
// square root is vectorised).
#include "harness/core/random.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <type_traits>

namespace assay {
namespace {

constexpr std::int64_t kBlocks = 16;          // of a group
constexpr std::int64_t kGroup = 4 * kBlocks;  // values

// A word is the low half of a Word; with the 64-bit one the upper half may hold anything. AVX-512
// multiplies 64-bit lanes and is twice as fast when nothing is moved between lanes of 32 and 64
// bits; AVX2 and SSE2 are faster with 32.
template <class Word>
struct Words {
  Word a, b, c, d;
};

template <class Word>
ASSAY_INLINE Words<Word> philox_round(Words<Word> counter, std::uint32_t key0, std::uint32_t key1) {
  const std::uint64_t p = std::uint64_t{0xD2511F53u} * (counter.a & 0xffffffffu);
  const std::uint64_t q = std::uint64_t{0xCD9E8D57u} * (counter.c & 0xffffffffu);
  return {static_cast<Word>(q >> 32) ^ counter.b ^ key0, static_cast<Word>(q),
          static_cast<Word>(p >> 32) ^ counter.d ^ key1, static_cast<Word>(p)};
}

template <int kRounds = 10, class Word>
ASSAY_INLINE Words<std::uint32_t> philox(Words<Word> counter, std::uint32_t key0,
                                         std::uint32_t key1) {
  const Words<Word> next = philox_round(counter, key0, key1);
  if constexpr (kRounds == 1) {
    return {static_cast<std::uint32_t>(next.a), static_cast<std::uint32_t>(next.b),
            static_cast<std::uint32_t>(next.c), static_cast<std::uint32_t>(next.d)};
  } else {
    return philox<kRounds - 1>(next, key0 + 0x9E3779B9u, key1 + 0xBB67AE85u);
  }
}

// Natural logarithm of a normal x > 0. x = 2^k m with m in [sqrt(1/2), sqrt(2)), s = (m - 1)/(m +
// 1), |s| <= 0.172: log m = 2 atanh s = 2s (1 + s²/3 + s⁴/5 + …); the first term left out is below
// 2e-9 of the sum.
ASSAY_INLINE float log_of(float x) {
  constexpr std::uint32_t kRootHalf = 0x3f3504f3u;
  const auto bits = std::bit_cast<std::uint32_t>(x);
  const auto k = static_cast<std::int32_t>(bits - kRootHalf) >> 23;
  const auto m = std::bit_cast<float>(bits - (static_cast<std::uint32_t>(k) << 23));
  const float s = (m - 1.0f) / (m + 1.0f);
  const float z = s * s;
  const float series = z * (1.0f / 3 + z * (1.0f / 5 + z * (1.0f / 7 + z * (1.0f / 9))));
  return static_cast<float>(k) * 0.693147181f + (2.0f * s + 2.0f * s * series);
}

struct Pair {
  float cosine, sine;
};

// Of 2π word/2^32: quarter turns come off exactly in integers, Taylor series serve the rest of at
// most an eighth.
ASSAY_INLINE Pair unit_circle(std::uint32_t word) {
  const std::uint32_t quarter = (word + (1u << 29)) >> 30;  // to the nearest; the sum may wrap
  const float x = static_cast<float>(static_cast<std::int32_t>(word - (quarter << 30))) *
                  1.46291808e-9f;  // 2π/2^32
  const float z = x * x;
  const float sine =
      x + x * (z * (-1.0f / 6 + z * (1.0f / 120 + z * (-1.0f / 5040 + z * (1.0f / 362880)))));
  const float cosine =
      1.0f +
      z * (-0.5f + z * (1.0f / 24 + z * (-1.0f / 720 + z * (1.0f / 40320 - z * (1.0f / 3628800)))));
  const bool swap = (quarter & 1u) != 0;
  const std::uint32_t sine_sign = (quarter & 2u) << 30;
  const std::uint32_t cosine_sign = ((quarter + 1u) & 2u) << 30;
  return {std::bit_cast<float>(std::bit_cast<std::uint32_t>(swap ? sine : cosine) ^ cosine_sign),
          std::bit_cast<float>(std::bit_cast<std::uint32_t>(swap ? cosine : sine) ^ sine_sign)};
}

ASSAY_INLINE Pair box_muller(std::uint32_t radius_word, std::uint32_t angle_word) {
  // (word + 1/2) / 2^32 in (0, 1]. The top bit goes apart: machines convert signed integers.
  const auto low = static_cast<float>(static_cast<std::int32_t>(radius_word & 0x7fffffffu));
  const float high = radius_word >> 31 != 0 ? 0x1p31f : 0.0f;
  const float u = (high + (low + 0.5f)) * 0x1p-32f;
  const float radius = std::sqrt(std::max(0.0f, -2.0f * log_of(u)));
  const Pair direction = unit_circle(angle_word);
  return {radius * direction.cosine, radius * direction.sine};
}

struct Bits {
  using Value = std::uint32_t;
  static ASSAY_INLINE void store(Words<std::uint32_t> w, Value* out) {
    out[0 * kBlocks] = w.a;
    out[1 * kBlocks] = w.b;
    out[2 * kBlocks] = w.c;
    out[3 * kBlocks] = w.d;
  }
};

struct Uniform {
  using Value = float;
  static ASSAY_INLINE float unit(std::uint32_t word) {
    return static_cast<float>(static_cast<std::int32_t>(word >> 8)) * 0x1p-24f;
  }
  static ASSAY_INLINE void store(Words<std::uint32_t> w, Value* out) {
    out[0 * kBlocks] = unit(w.a);
    out[1 * kBlocks] = unit(w.b);
    out[2 * kBlocks] = unit(w.c);
    out[3 * kBlocks] = unit(w.d);
  }
};

struct Gaussian {
  using Value = float;
  static ASSAY_INLINE void store(Words<std::uint32_t> w, Value* out) {
    const Pair first = box_muller(w.a, w.b);
    const Pair second = box_muller(w.c, w.d);
    out[0 * kBlocks] = first.cosine;
    out[1 * kBlocks] = first.sine;
    out[2 * kBlocks] = second.cosine;
    out[3 * kBlocks] = second.sine;
  }
};

// Writes `groups` whole groups.
template <class Distribution>
struct Generate {
  template <Isa kIsa>
  static ASSAY_INLINE void run(RandomSequence sequence, std::int64_t group, std::int64_t groups,
                               typename Distribution::Value* out) {
    using Word = std::conditional_t<kIsa == Isa::avx512, std::uint64_t, std::uint32_t>;
    const auto key0 = static_cast<std::uint32_t>(sequence.seed);
    const auto key1 = static_cast<std::uint32_t>(sequence.seed >> 32);
    const auto stream0 = static_cast<std::uint32_t>(sequence.stream);
    const auto stream1 = static_cast<std::uint32_t>(sequence.stream >> 32);
    for (std::int64_t end = group + groups; group < end; ++group, out += kGroup) {
      const auto block = static_cast<std::uint64_t>(group) * kBlocks;
      const auto block0 = static_cast<std::uint32_t>(block);  // adding a lane to it never carries
      const auto block1 = static_cast<std::uint32_t>(block >> 32);
      for (std::uint32_t lane = 0; lane < kBlocks; ++lane) {
        const Words<Word> counter{block0 + lane, block1, stream0, stream1};
        Distribution::store(philox(counter, key0, key1), out + lane);
      }
    }
  }
};

template <class Distribution, class Value = typename Distribution::Value>
void generate(RandomSequence sequence, std::int64_t first, std::int64_t count, Value* out,
              Isa isa) {
  using Kernel = Generate<Distribution>;
  while (count > 0) {
    const std::int64_t group = first / kGroup;
    const std::int64_t skipped = first % kGroup;
    std::int64_t made = count / kGroup * kGroup;
    if (skipped == 0 && made > 0) {
      run_simd_on<Kernel>(isa, sequence, group, made / kGroup, out);
    } else {  // a part of one group, at either end
      Value values[kGroup];
      run_simd_on<Kernel>(isa, sequence, group, std::int64_t{1}, static_cast<Value*>(values));
      made = std::min(count, kGroup - skipped);
      std::copy_n(values + skipped, made, out);
    }
    first += made;
    count -= made;
    out += made;
  }
}

}  // namespace

void random_bits(RandomSequence sequence, std::int64_t first, std::int64_t count,
                 std::uint32_t* out, Isa isa) {
  generate<Bits>(sequence, first, count, out, isa);
}

void random_uniform(RandomSequence sequence, std::int64_t first, std::int64_t count, float* out,
                    Isa isa) {
  generate<Uniform>(sequence, first, count, out, isa);
}

void random_gaussian(RandomSequence sequence, std::int64_t first, std::int64_t count, float* out,
                     Isa isa) {
  generate<Gaussian>(sequence, first, count, out, isa);
}

}  // namespace assay
