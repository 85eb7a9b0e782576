#include "harness/core/random.h"

#include <bit>
#include <cmath>
#include <numbers>
#include <vector>

#include "harness/testing.h"

namespace assay {
namespace {

struct Block {
  std::uint32_t word[4];
  bool operator==(const Block&) const = default;
};

// Philox4x32-10 as in the paper, one block at a time.
Block philox(Block counter, std::uint32_t key0, std::uint32_t key1) {
  auto& w = counter.word;
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p = 0xD2511F53ull * w[0];
    const std::uint64_t q = 0xCD9E8D57ull * w[2];
    counter = {{static_cast<std::uint32_t>(q >> 32) ^ w[1] ^ key0, static_cast<std::uint32_t>(q),
                static_cast<std::uint32_t>(p >> 32) ^ w[3] ^ key1, static_cast<std::uint32_t>(p)}};
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  return counter;
}

std::uint32_t word_of(RandomSequence s, std::int64_t i) {
  const std::uint64_t block = static_cast<std::uint64_t>(i / 64 * 16 + i % 16);
  return philox(
             {{static_cast<std::uint32_t>(block), static_cast<std::uint32_t>(block >> 32),
               static_cast<std::uint32_t>(s.stream), static_cast<std::uint32_t>(s.stream >> 32)}},
             static_cast<std::uint32_t>(s.seed), static_cast<std::uint32_t>(s.seed >> 32))
      .word[i / 16 % 4];
}

std::vector<Isa> isas() {
  std::vector<Isa> all;
  for (const Isa isa : kAllIsas) {
    if (available(isa)) all.push_back(isa);
  }
  return all;
}

std::uint64_t fnv1a(const std::vector<float>& values) {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const float value : values) {
    for (int byte = 0; byte < 4; ++byte) {
      hash = (hash ^ (std::bit_cast<std::uint32_t>(value) >> 8 * byte & 0xffu)) * 0x100000001b3u;
    }
  }
  return hash;
}

const RandomSequence kSequence{0x0123456789abcdefu, 0xfedcba9876543210u};

}  // namespace

TEST_CASE("Philox gives the published answers", "[random]") {
  // Known-answer vectors of philox4x32-10 from the authors' Random123.
  CHECK(philox({{0, 0, 0, 0}}, 0, 0) == Block{{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}});
  CHECK(philox({{~0u, ~0u, ~0u, ~0u}}, ~0u, ~0u) ==
        Block{{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}});
  CHECK(philox({{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}}, 0xa4093822, 0x299f31d0) ==
        Block{{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}});
}

TEST_CASE("random_bits is Philox in the documented order, on every instruction set", "[random]") {
  const std::int64_t starts[] = {
      0, 1, 63, 64, 1000, (std::int64_t{1} << 34) - 100, (std::int64_t{1} << 40) + 17};
  for (const Isa isa : isas()) {
    for (const std::int64_t first : starts) {
      for (const std::int64_t count : {1, 64, 200}) {
        std::vector<std::uint32_t> bits(static_cast<std::size_t>(count) + 1, 7u);
        random_bits(kSequence, first, count, bits.data(), isa);
        std::int64_t wrong = 0;
        for (std::int64_t i = 0; i < count; ++i) {
          wrong += bits[static_cast<std::size_t>(i)] != word_of(kSequence, first + i);
        }
        INFO(name(isa) << " first=" << first << " count=" << count);
        CHECK(wrong == 0);
        CHECK(bits.back() == 7u);
      }
    }
  }
}

TEST_CASE("random values have the same bits everywhere", "[random]") {
  struct Golden {
    RandomSequence sequence;
    std::uint64_t uniform, gaussian;
  };
  const Golden golden[] = {
      {{0, 0}, 0xfce15ff5bc2476b4u, 0x9776cf47041843b8u},
      {{1, 0}, 0x74cba8c0f904acacu, 0x21cfb218e307d06eu},
      {{1, 7}, 0xb623bcc94f813711u, 0x8a2514b750ee282cu},
      {kSequence, 0xac64c85d49159121u, 0x8389d37914bfda23u},
  };
  for (const Isa isa : isas()) {
    for (const Golden& g : golden) {
      std::vector<float> values(100003);
      INFO(name(isa) << " seed=" << g.sequence.seed << " stream=" << g.sequence.stream);
      random_uniform(g.sequence, 5, 100003, values.data(), isa);
      CHECK(fnv1a(values) == g.uniform);
      random_gaussian(g.sequence, 5, 100003, values.data(), isa);
      CHECK(fnv1a(values) == g.gaussian);
    }
  }
}

TEST_CASE("random_gaussian is the Box-Muller transform within its stated accuracy", "[random]") {
  constexpr std::int64_t kCount = 1 << 18;
  std::vector<std::uint32_t> bits(kCount);
  std::vector<float> values(kCount);
  random_bits(kSequence, 0, kCount, bits.data());
  random_gaussian(kSequence, 0, kCount, values.data());
  double worst = 0;
  for (std::size_t i = 0; i < kCount; ++i) {
    const bool sine = (i / 16 & 1u) != 0;
    const double u = (bits[sine ? i - 16 : i] + 0.5) * 0x1p-32;
    const double angle = 2 * std::numbers::pi * bits[sine ? i : i + 16] * 0x1p-32;
    const double want = std::sqrt(-2 * std::log(u)) * (sine ? std::sin(angle) : std::cos(angle));
    // Where u rounds to a float near 1 the radius is small and its relative error is not: the error
    // stays below that of u.
    const double error = std::abs(values[i] - want) / std::max(1.0, std::abs(want));
    worst = std::max(worst, u < 0.9 ? error : 0);
    if (!(error < 2.5e-4)) FAIL("value " << i << ": " << values[i] << ", expected " << want);
  }
  CAPTURE(worst);
  CHECK(worst < 5e-7);
}

TEST_CASE("random_gaussian has the moments and tails of a normal distribution", "[random]") {
  constexpr std::int64_t kCount = 1 << 22;
  constexpr double kRoot =
      2048;  // of the count: standard errors are 1/kRoot times that of one value
  std::vector<float> values(kCount);
  random_gaussian({42, 3}, 0, kCount, values.data());
  double sum = 0, square = 0, cube = 0, fourth = 0, neighbour = 0;
  int beyond2 = 0, beyond4 = 0;
  for (std::size_t i = 0; i < kCount; ++i) {
    const double z = values[i];
    sum += z;
    square += z * z;
    cube += z * z * z;
    fourth += z * z * z * z;
    if (i > 0) neighbour += z * values[i - 1];
    beyond2 += std::abs(z) > 2;
    beyond4 += std::abs(z) > 4;
    if (!(std::abs(z) < 6.8)) FAIL("value " << i << " is " << z);
  }
  const double n = kCount;
  CHECK(std::abs(sum / n) < 4 / kRoot);
  CHECK(std::abs(square / n - 1) < 4 * std::sqrt(2.0) / kRoot);
  CHECK(std::abs(cube / n) < 4 * std::sqrt(15.0) / kRoot);
  CHECK(std::abs(fourth / n - 3) < 4 * std::sqrt(96.0) / kRoot);
  CHECK(std::abs(neighbour / n) < 4 / kRoot);
  const double expected2 = n * std::erfc(2 / std::numbers::sqrt2);
  const double expected4 = n * std::erfc(4 / std::numbers::sqrt2);  // 266
  CHECK(std::abs(beyond2 - expected2) < 4 * std::sqrt(expected2));
  CHECK(std::abs(beyond4 - expected4) < 4 * std::sqrt(expected4));
}

TEST_CASE("random_uniform is flat from 0 to 1", "[random]") {
  constexpr std::int64_t kCount = 1 << 20;
  std::vector<float> values(kCount);
  random_uniform({42, 4}, 0, kCount, values.data());
  std::vector<int> bins(64);
  for (const float value : values) {
    REQUIRE((value >= 0 && value < 1));
    ++bins[static_cast<std::size_t>(value * 64)];
  }
  const double expected = kCount / 64.0;
  double chi_square = 0;
  for (const int bin : bins) chi_square += (bin - expected) * (bin - expected) / expected;
  CHECK(chi_square < 63 + 4 * std::sqrt(2 * 63.0));
}

}  // namespace assay
