// Fingerprint says whether two stretches of memory hold the same bytes without bringing them
// together: 128 bits of each, the same from host memory and from a device's.
//
// Each 8-byte word w at index i gives two terms, mix1(w + i·c1) and mix2(w ^ i·c2), and a
// fingerprint is the sum of each kind mod 2^64. Sums do not depend on the order, so any number of
// threads give the same. mix1 is the output function of SplitMix64 (Steele, Lea and Flood, "Fast
// splittable pseudorandom number generators", OOPSLA 2014), mix2 the finaliser of MurmurHash3
// (Appleby, 2011); c1 and c2 are odd. Hence
//  - contents that differ in one word never have the same fingerprint: both functions are
//    bijections of the word, and one term of each sum differs;
//  - for contents that differ in more, the sums of the differing terms must agree mod 2^64 twice.
//    With the mixed words behaving as random ones, as they do in the published avalanche tests of
//    the two functions, that has a probability of 2^-64 each, 2^-128 = 3e-39 together. It is no
//    cryptographic hash: somebody who wants a collision can construct one.
// Bits are compared, not values: NaNs of different payloads differ, and so do 0 and -0.
#pragma once

#include <cstdint>

#include "harness/core/device_function.h"

namespace assay {

struct Fingerprint {
  std::uint64_t first = 0, second = 0;
  bool operator==(const Fingerprint&) const = default;
};

namespace fingerprint_detail {

inline constexpr std::uint64_t kStep1 = 0x9e3779b97f4a7c15, kStep2 = 0xd1342543de82ef95;
inline constexpr std::uint64_t kLength = 0x8000000000000000;  // an index that no word has

// Word may be a GCC vector of words.
template <class Word>
ASSAY_HOST_DEVICE Word mix1(Word x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}
template <class Word>
ASSAY_HOST_DEVICE Word mix2(Word x) {
  x = (x ^ (x >> 33)) * 0xff51afd7ed558ccdULL;
  x = (x ^ (x >> 33)) * 0xc4ceb9fe1a85ec53ULL;
  return x ^ (x >> 33);
}

}  // namespace fingerprint_detail

// Adds the terms of the word at `index`, its first byte in memory the lowest. The last word of an
// odd number of bytes is filled up with zeros.
ASSAY_HOST_DEVICE void add_word(Fingerprint& sum, std::uint64_t word, std::uint64_t index) {
  namespace detail = fingerprint_detail;
  sum.first += detail::mix1(word + index * detail::kStep1);
  sum.second += detail::mix2(word ^ (index * detail::kStep2));
}

// The sum of all words becomes a fingerprint with this: zeros at the end count, too.
ASSAY_HOST_DEVICE void add_length(Fingerprint& sum, std::int64_t bytes) {
  add_word(sum, static_cast<std::uint64_t>(bytes), fingerprint_detail::kLength);
}

// Of host memory, by all threads.
Fingerprint fingerprint(const void* memory, std::int64_t bytes);

// The words of a part that begins at byte `offset` of the whole, a multiple of 8; without
// add_length.
void add_words(Fingerprint& sum, const void* part, std::int64_t bytes, std::int64_t offset);

}  // namespace assay
