#include "harness/backend/cpu_bandwidth.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "harness/backend/cpu_memory.h"
#include "harness/core/parallel.h"
#include "harness/core/simd.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace assay::cpu {
namespace {

constexpr int kMaxArrays = 16;
constexpr int kLine = 64;

// How a kernel walks: `block` bytes of each array in turn (small: all arrays advance together;
// large: long runs, which prefetchers follow more easily); whether it asks for the next block in
// that order while it works on one, or leaves that to the hardware; how it stores.
struct Walk {
  std::int64_t block = 4096;
  bool prefetch = false;
  bool non_temporal = false;
};

// No walk is best for every mix: of these 16, the best of 9:1 is among the slower half at 1:0.
constexpr std::int64_t kBlocks[] = {256, 1024, 4096, 16384};
constexpr int kWalks = 4 * static_cast<int>(std::size(kBlocks));
constexpr Walk walk_of(int index) {
  return {kBlocks[index / 4], (index & 1) != 0, (index & 2) != 0};
}

struct Arrays {
  std::array<char*, kMaxArrays> data;  // those read, then those written
  Mix mix;
  std::int64_t bytes;  // of each; a multiple of every block
};

struct Streaming {
  // Reads [begin, end) of every array to be read and stores to those to be written; returns a sum
  // in `sink`, so that nothing can be left out.
  template <Isa isa>
  static ASSAY_INLINE void run(const Arrays* arrays, Walk walk, std::int64_t begin,
                               std::int64_t end, float* sink) {
    constexpr std::int64_t kBytes = std::int64_t{4} * simd_width(isa);
    using Vector = simd_vector<float, simd_width(isa)>;
    Vector sum[4] = {};
    for (std::int64_t at = begin; at < end; at += walk.block) {
      for (int r = 0; r < arrays->mix.reads; ++r) {
        const char* from = arrays->data[r] + at;
        const char* next = r + 1 < arrays->mix.reads ? arrays->data[r + 1] + at
                                                     : arrays->data[0] + at + walk.block;
        for (std::int64_t i = 0; i < walk.block; i += 4 * kBytes) {
          if (walk.prefetch) {
            for (std::int64_t line = 0; line < 4 * kBytes; line += kLine)
              __builtin_prefetch(next + i + line);
          }
          for (int u = 0; u < 4; ++u) {
            Vector value;
            __builtin_memcpy(&value, from + i + u * kBytes, kBytes);
            sum[u] += value;
          }
        }
      }
      for (int w = 0; w < arrays->mix.writes; ++w) {
        char* to = arrays->data[arrays->mix.reads + w] + at;
        for (std::int64_t i = 0; i < walk.block; i += kBytes) {
          store(to + i, sum[0], walk.non_temporal);
        }
      }
    }
    const Vector total = sum[0] + sum[1] + sum[2] + sum[3];
    *sink = total[0];
  }

 private:
  template <class Vector>
  static ASSAY_INLINE void store(char* to, Vector value, bool non_temporal) {
#if defined(__SSE2__)
    if (non_temporal) {
      __m128i part[sizeof(Vector) / 16];
      __builtin_memcpy(part, &value, sizeof value);
      for (const __m128i& piece : part)
        _mm_stream_si128(reinterpret_cast<__m128i*>(to) + (&piece - part), piece);
      return;
    }
#endif
    static_cast<void>(non_temporal);
    __builtin_memcpy(to, &value, sizeof value);
  }
};

double seconds_of(const Arrays& arrays, const Walk& walk) {
  const auto start = std::chrono::steady_clock::now();
  parallel_for(arrays.bytes, walk.block, [&](std::int64_t begin, std::int64_t end) {
    float sink = 0;
    run_simd<Streaming>(&arrays, walk, begin, end, &sink);
    volatile float keep = sink;
    static_cast<void>(keep);
#if defined(__SSE2__)
    _mm_sfence();
#endif
  });
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

double measure_bandwidth(Mix mix) {
  constexpr std::int64_t kUnit = 64
                                 << 10;  // a multiple of every block, many parts for every thread
  constexpr int kRounds = 9;
  const int count = mix.reads + mix.writes;
  const std::int64_t wanted =
      std::max<std::int64_t>(4 * last_level_cache_bytes(), 256 << 20) / count;
  const std::int64_t bytes = (wanted + kUnit - 1) / kUnit * kUnit;

  // One block, a page more between arrays so that they don't compete for the same cache sets.
  const std::int64_t stride = bytes + 4096 + 256;
  std::unique_ptr<void, void (*)(void*)> memory(allocate(stride * count), release);
  fill(memory.get(), 0, stride * count);
  Arrays arrays{{}, mix, bytes};
  for (int i = 0; i < count; ++i) arrays.data[i] = static_cast<char*>(memory.get()) + stride * i;

  // Interleaved rounds: a disturbance hits every kernel alike.
  std::vector<std::vector<double>> seconds(kWalks);
  for (int round = 0; round < kRounds; ++round) {
    for (int w = 0; w < kWalks; ++w) {
      const Walk walk = walk_of(w);
      if ((walk.non_temporal && mix.writes == 0) || (walk.prefetch && mix.reads == 0)) continue;
      seconds[w].push_back(seconds_of(arrays, walk));
    }
  }
  double best = 0;
  for (std::vector<double>& samples : seconds) {
    if (samples.empty()) continue;
    std::nth_element(samples.begin(), samples.begin() + samples.size() / 2, samples.end());
    best = std::max(best, static_cast<double>(bytes) * count / samples[samples.size() / 2]);
  }
  return best;
}

}  // namespace assay::cpu
