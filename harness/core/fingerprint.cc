#include "harness/core/fingerprint.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <vector>

#include "harness/core/parallel.h"
#include "harness/core/simd.h"

namespace assay {
namespace {

static_assert(std::endian::native == std::endian::little, "words are read as they lie");

// Whole words, eight at a time: lanes hold the words of eight consecutive indices.
struct SumWords {
  template <Isa isa>
  static ASSAY_INLINE void run(const char* memory, std::uint64_t words, std::uint64_t index,
                               Fingerprint* sum) {
    namespace detail = fingerprint_detail;
    constexpr int kLanes = 8;
    using Words = simd_vector<std::uint64_t, kLanes>;
    Words at = {0, 1, 2, 3, 4, 5, 6, 7};
    at += index;
    Words key1 = at * detail::kStep1, key2 = at * detail::kStep2;
    Words first = {}, second = {};
    std::uint64_t i = 0;
    for (; i + kLanes <= words; i += kLanes) {
      Words word;
      std::memcpy(&word, memory + 8 * i, sizeof word);
      first += detail::mix1(word + key1);
      second += detail::mix2(word ^ key2);
      key1 += kLanes * detail::kStep1;
      key2 += kLanes * detail::kStep2;
    }
    for (int lane = 0; lane < kLanes; ++lane) {
      sum->first += first[lane];
      sum->second += second[lane];
    }
    for (; i < words; ++i) {
      std::uint64_t word = 0;
      std::memcpy(&word, memory + 8 * i, sizeof word);
      add_word(*sum, word, index + i);
    }
  }
};

}  // namespace

void add_words(Fingerprint& sum, const void* part, std::int64_t bytes, std::int64_t offset) {
  constexpr std::int64_t kGrain = 1 << 13;  // words: 64 KiB
  const auto* memory = static_cast<const char*>(part);
  const std::int64_t words = bytes / 8, index = offset / 8;
  std::vector<Fingerprint> sums(static_cast<std::size_t>(num_threads()));
  parallel_for(words, kGrain, [&](std::int64_t begin, std::int64_t end, int thread) {
    run_simd<SumWords>(memory + 8 * begin, static_cast<std::uint64_t>(end - begin),
                       static_cast<std::uint64_t>(index + begin),
                       &sums[static_cast<std::size_t>(thread)]);
  });
  for (const Fingerprint& of_thread : sums) {
    sum.first += of_thread.first;
    sum.second += of_thread.second;
  }
  if (bytes % 8 == 0) return;
  std::uint64_t last = 0;
  std::memcpy(&last, memory + 8 * words, static_cast<std::size_t>(bytes % 8));
  add_word(sum, last, static_cast<std::uint64_t>(index + words));
}

Fingerprint fingerprint(const void* memory, std::int64_t bytes) {
  Fingerprint sum;
  add_words(sum, memory, bytes, 0);
  add_length(sum, bytes);
  return sum;
}

}  // namespace assay
