#include "harness/core/fingerprint.h"

#include <cstring>
#include <set>
#include <utility>
#include <vector>

#include "harness/testing.h"

namespace assay {
namespace {

std::vector<unsigned char> contents(std::size_t bytes, std::uint64_t seed = 1) {
  std::vector<unsigned char> made(bytes);
  for (unsigned char& byte : made) {
    seed = seed * 6364136223846793005 + 1442695040888963407;
    byte = static_cast<unsigned char>(seed >> 56);
  }
  return made;
}

Fingerprint of(const std::vector<unsigned char>& bytes) {
  return fingerprint(bytes.data(), static_cast<std::int64_t>(bytes.size()));
}

// Word by word, as the definition says.
Fingerprint by_definition(const std::vector<unsigned char>& bytes) {
  Fingerprint sum;
  for (std::size_t at = 0; at < bytes.size(); at += 8) {
    std::uint64_t word = 0;
    for (std::size_t b = 0; b < 8 && at + b < bytes.size(); ++b)
      word |= static_cast<std::uint64_t>(bytes[at + b]) << (8 * b);
    add_word(sum, word, at / 8);
  }
  add_length(sum, static_cast<std::int64_t>(bytes.size()));
  return sum;
}

bool differ(const Fingerprint& a, const Fingerprint& b) {
  return a.first != b.first && a.second != b.second;
}

}  // namespace

TEST_CASE("a fingerprint is what its definition says, whatever the size and the address") {
  for (const std::size_t bytes : {0, 1, 7, 8, 9, 15, 64, 65, 127, 4096, 65536, 65539, 1 << 20}) {
    const std::vector<unsigned char> made = contents(bytes + 16);
    for (const std::size_t offset : {0, 1, 2, 4, 13}) {
      const std::vector<unsigned char> part(
          made.begin() + static_cast<std::ptrdiff_t>(offset),
          made.begin() + static_cast<std::ptrdiff_t>(offset + bytes));
      const Fingerprint here = fingerprint(made.data() + offset, static_cast<std::int64_t>(bytes));
      CHECK(here == by_definition(part));
    }
  }
}

TEST_CASE("fingerprints of parts add up") {
  const std::vector<unsigned char> made = contents(1000);
  Fingerprint sum;
  add_words(sum, made.data(), 320, 0);
  add_words(sum, made.data() + 320, 8, 320);
  add_words(sum, made.data() + 328, 672, 328);
  add_length(sum, 1000);
  CHECK(sum == of(made));
}

TEST_CASE("every flipped bit changes both halves of a fingerprint") {
  for (const std::size_t bytes : {3, 8, 60, 1021}) {
    for (const unsigned char filled : {0x00, 0xff, 0x7b, 0x55}) {
      std::vector<unsigned char> made(bytes, filled);
      const Fingerprint before = of(made);
      for (std::size_t bit = 0; bit < 8 * bytes; ++bit) {
        made[bit / 8] ^= static_cast<unsigned char>(1 << bit % 8);
        CHECK(differ(of(made), before));
        made[bit / 8] ^= static_cast<unsigned char>(1 << bit % 8);
      }
    }
  }
}

TEST_CASE("swapped, shifted, cut and lengthened contents have other fingerprints") {
  std::vector<unsigned char> made = contents(1 << 12);
  const Fingerprint before = of(made);
  for (std::size_t i = 0; i < 64; ++i) {  // of 1, 2, 4 and 8 bytes
    for (const std::size_t width : {1, 2, 4, 8}) {
      auto swapped = made;
      const std::size_t a = width * i, b = width * (2 * i + 1 + i % 5);
      if (std::memcmp(&made[a], &made[b], width) == 0) continue;
      std::swap_ranges(swapped.begin() + static_cast<std::ptrdiff_t>(a),
                       swapped.begin() + static_cast<std::ptrdiff_t>(a + width),
                       swapped.begin() + static_cast<std::ptrdiff_t>(b));
      CHECK(differ(of(swapped), before));
    }
  }
  auto shifted = made;
  shifted.insert(shifted.begin(), 0);
  shifted.pop_back();
  CHECK(differ(of(shifted), before));
  auto longer = made;
  for (int i = 0; i < 20; ++i) {
    longer.push_back(0);  // zeros count, though the last word is filled up with them
    CHECK(differ(of(longer), before));
  }
}

TEST_CASE("fingerprints of contents that repeat a pattern are all different") {
  // What poisons, constants and ramps look like: little in each word but its place.
  std::set<std::pair<std::uint64_t, std::uint64_t>> seen;
  std::size_t made = 0;
  for (const std::size_t words : {1, 2, 3, 64, 1000}) {
    for (std::uint64_t pattern = 0; pattern < 64; ++pattern) {
      std::vector<std::uint64_t> constant(words, pattern), ramp(words);
      for (std::size_t i = 0; i < words; ++i) ramp[i] = (pattern + 1) * i + (1ULL << pattern % 64);
      for (const auto& content : {constant, ramp}) {
        const Fingerprint print =
            fingerprint(content.data(), static_cast<std::int64_t>(8 * content.size()));
        seen.insert({print.first, print.second});
        ++made;
      }
    }
  }
  // Of one word the ramp is its first value, of which six (1, 2, 4, 8, 16, 32) are constants, too.
  CHECK(seen.size() == made - 6);
}

}  // namespace assay
