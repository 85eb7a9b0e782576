// Accesses of each width, and atomics and the orders that they give.
#include "kernels/device/atomic.h"
#include "kernels/device/block.h"
#include "kernels/device/streaming.h"
#include "kernels/device/vector.h"
#include "kernels/selftest/check.h"

namespace assay::ASSAY_TWIN::selftest {

namespace {

constexpr int kThreads = 128, kBlocks = 4;
constexpr std::size_t kSize = kThreads;

ASSAY_DEVICE Word unsigned_of(int x) { return static_cast<Word>(x); }

}  // namespace

// 1, 2 and 4 words, each through shared memory as well.
template <int kCount>
ASSAY_DEVICE void carry(const Word* in, Word* out, Vector* shared) {
  const int t = thread_index(), other = kThreads - 1 - t;
  Word* words = &shared[0].words[0];
  std::uint32_t x[kCount], y[kCount];
  load_words(in + t * kCount, x);
  store_words(words + t * kCount, x);
  sync_threads();
  load_words(words + other * kCount, y);
  sync_threads();
  store_words(out + t * kCount, y);
}
ASSAY_KERNEL(kThreads) void widths(const Word* in, Word* out) {
  ASSAY_SHARED(shared, [kThreads], Vector);
  carry<1>(in, out, shared);
  carry<2>(in + kThreads * 2, out + kThreads * 2, shared);
  carry<4>(in + kThreads * 4, out + kThreads * 4, shared);
  out[kThreads + thread_index()] = in[kThreads + thread_index()];
}
ASSAY_CHECK(widths){.name = "memory/words",
                    .covers = {"load_words", "store_words"},
                    .kernel = widths,
                    .threads = kThreads,
                    .inputs = kSize * 8,
                    .outputs = kSize * 8,
                    .expect = [](const Words& in, Expectation& want) {
                      for (std::size_t t = 0; t < kSize; ++t) {
                        want.bits(kSize + t, in[kSize + t]);
                        for (const std::size_t count : {1, 2, 4}) {
                          const std::size_t first = count == 1 ? 0 : count * kSize;
                          for (std::size_t i = 0; i < count; ++i) {
                            want.bits(first + t * count + i,
                                      in[first + (kSize - 1 - t) * count + i]);
                          }
                        }
                      }
                    }};

ASSAY_KERNEL(kThreads) void streaming(const Word* in, Word* out) {
  std::uint32_t x[4];
  load_words(in + thread_index() * 4, x);
  store_streaming(out + (kThreads - 1 - thread_index()) * 4, x);
}
ASSAY_CHECK(streaming){.name = "memory/streaming",
                       .covers = {"store_streaming"},
                       .kernel = streaming,
                       .threads = kThreads,
                       .inputs = kSize * 4,
                       .outputs = kSize * 4,
                       .expect = [](const Words& in, Expectation& want) {
                         for (std::size_t i = 0; i < kSize * 4; ++i) {
                           want.bits(i, in[(kSize - 1 - i / 4) * 4 + i % 4]);
                         }
                       }};

// Sums that pass 2^32, sums of both signs, and of floats, in global and in shared memory. Every old
// value of a counter is seen once: out[old - start] counts the threads that saw it.
namespace {
constexpr Word kStart = 0xfffffff0u;  // wraps after 16
constexpr std::size_t kAdders = std::size_t{kBlocks} * kThreads;
// kAdders counts and three sums of all; then for each block kThreads counts and four words more.
constexpr std::size_t kOfBlocks = kAdders + 3, kOfBlock = kSize + 4;
}  // namespace
ASSAY_KERNEL(kThreads) void atomics(const Word* in, Word* out) {
  ASSAY_SHARED(counter, [1], unsigned);
  ASSAY_SHARED(sum, [1], int);
  ASSAY_SHARED(real, [1], float);
  const int t = thread_index();
  const int i = block_index() * kThreads + t;
  const int step = static_cast<int>(in[i] % 2001) - 1000;
  if (t == 0) {
    counter[0] = kStart;
    sum[0] = 5;
    real[0] = 0.5f;
  }
  sync_threads();

  Word* all = out + kAdders;
  const unsigned seen = atomic_add(&all[0], 1u);  // from 0xffffffff on: see `initial`
  atomic_add(&out[seen + 1], 1u);
  atomic_add(reinterpret_cast<int*>(&all[1]), step);
  atomic_add(&all[2], in[i]);

  Word* mine = out + kOfBlocks + static_cast<std::size_t>(block_index()) * kOfBlock;
  mine[atomic_add(&counter[0], 1u) - kStart] = 1;
  atomic_add(&sum[0], step);
  atomic_add(&real[0], static_cast<float>(step) * 0.25f);
  sync_threads();
  if (t == 0) {
    mine[kThreads] = counter[0];
    mine[kThreads + 1] = unsigned_of(sum[0]);
    mine[kThreads + 2] = as_bits(real[0]);
    mine[kThreads + 3] = atomic_add(&counter[0], 0u);
  }
}
ASSAY_CHECK(atomics){.name = "memory/atomic_add",
                     .covers = {"atomic_add"},
                     .kernel = atomics,
                     .blocks = kBlocks,
                     .threads = kThreads,
                     .inputs = kAdders,
                     .outputs = kOfBlocks + kBlocks * kOfBlock,
                     .initial = 0xffffffffu,
                     .expect = [](const Words& in, Expectation& want) {
                       const auto step = [&](std::size_t i) {
                         return static_cast<int>(in[i] % 2001) - 1000;
                       };
                       Word total = 0xffffffffu;
                       int sum = -1;
                       for (std::size_t i = 0; i < kAdders; ++i) {
                         want.bits(i, 0);  // 0xffffffff + 1
                         total += in[i];
                         sum += step(i);
                       }
                       want.bits(kAdders, static_cast<Word>(kAdders) - 1);
                       want.bits(kAdders + 1, static_cast<Word>(sum));
                       want.bits(kAdders + 2, total);
                       for (std::size_t block = 0; block < kBlocks; ++block) {
                         const std::size_t first = kOfBlocks + block * kOfBlock;
                         int block_sum = 0;
                         for (std::size_t t = 0; t < kSize; ++t) {
                           want.bits(first + t, 1);
                           block_sum += step(block * kSize + t);
                         }
                         want.bits(first + kSize, kStart + static_cast<Word>(kSize));
                         want.bits(first + kSize + 1, static_cast<Word>(block_sum + 5));
                         want.number(first + kSize + 2, block_sum * 0.25 + 0.5);
                         want.bits(first + kSize + 3, kStart + static_cast<Word>(kSize));
                       }
                     }};

// Floats that sum up in global memory: integers, so that every order gives the same.
ASSAY_KERNEL(kThreads) void atomic_floats(const Word* in, Word* out) {
  const int i = block_index() * kThreads + thread_index();
  atomic_add(reinterpret_cast<float*>(&out[i % 8]), as_float(in[i]));
}
ASSAY_CHECK(atomic_floats){.name = "memory/atomic_add_float",
                           .covers = {"atomic_add"},
                           .kernel = atomic_floats,
                           .blocks = kBlocks,
                           .threads = kThreads,
                           .inputs = kAdders,
                           .outputs = 8,
                           .initial = 0,
                           .prepare =
                               [](Words& in) {
                                 for (Word& w : in) w = bits_of(small_integer(w, 1 << 15));
                               },
                           .expect =
                               [](const Words& in, Expectation& want) {
                                 double sums[8] = {};
                                 for (std::size_t i = 0; i < in.size(); ++i)
                                   sums[i % 8] += number(in[i]);
                                 for (std::size_t i = 0; i < 8; ++i) want.number(i, sums[i]);
                               }};

// Two blocks that take turns: what one wrote before its release, the other sees after its acquire.
namespace {
constexpr Word kTurns = 9;
constexpr std::size_t kFlags = 2 * kSize;  // after the values of each block
}  // namespace
ASSAY_KERNEL(kThreads) void turns(const Word* in, Word* out) {
  const int t = thread_index(), block = block_index();
  unsigned* flag = out + kFlags;
  Word* mine = out + static_cast<std::size_t>(block) * kThreads;
  const Word* theirs = out + static_cast<std::size_t>(1 - block) * kThreads;
  for (Word turn = 0; turn < kTurns; ++turn) {
    if (turn % 2 != static_cast<Word>(block)) continue;
    if (t == 0) {
      while (load_acquire(flag) != turn) {
      }
    }
    sync_threads();
    mine[t] = in[t] + mine[t] * 3 + theirs[(t + 1) % kThreads];
    sync_threads();
    if (t == 0) store_release(flag, turn + 1);
  }
}
ASSAY_CHECK(turns){.name = "memory/release_acquire",
                   .covers = {"load_acquire", "store_release"},
                   .kernel = turns,
                   .blocks = 2,
                   .threads = kThreads,
                   .inputs = kSize,
                   .outputs = kFlags + 1,
                   .initial = 0,
                   .expect = [](const Words& in, Expectation& want) {
                     Words values[2] = {Words(kSize), Words(kSize)};
                     for (Word turn = 0; turn < kTurns; ++turn) {
                       Words& mine = values[turn % 2];
                       const Words& theirs = values[1 - turn % 2];
                       for (std::size_t t = 0; t < kSize; ++t) {
                         mine[t] = in[t] + mine[t] * 3 + theirs[(t + 1) % kSize];
                       }
                     }
                     for (std::size_t i = 0; i < kFlags; ++i)
                       want.bits(i, values[i / kSize][i % kSize]);
                     want.bits(kFlags, kTurns);
                   }};

// The last block to finish adds up what all have written.
namespace {
constexpr int kManyBlocks = 24;
constexpr std::size_t kTicket = std::size_t{kManyBlocks} * kThreads;
}  // namespace
ASSAY_KERNEL(kThreads) void last_block(const Word* in, Word* out) {
  ASSAY_SHARED(is_last, [1], bool);
  const int t = thread_index();
  const int i = block_index() * kThreads + t;
  out[i] = in[i] * 2;
  sync_threads();
  if (t == 0) {  // fences that stand for the whole block: after one barrier and before the next
    fence();
    is_last[0] = atomic_add(&out[kTicket], 1u) == unsigned_of(num_blocks()) - 1;
    fence();
  }
  sync_threads();
  if (!is_last[0]) return;
  Word sum = 0;
  for (int block = 0; block < num_blocks(); ++block) sum += out[block * kThreads + t];
  out[kTicket + 1 + t] = sum;
}
ASSAY_CHECK(last_block){.name = "memory/fence",
                        .covers = {"fence", "atomic_add"},
                        .kernel = last_block,
                        .blocks = kManyBlocks,
                        .threads = kThreads,
                        .inputs = kTicket,
                        .outputs = kTicket + 1 + kSize,
                        .initial = 0,
                        .expect = [](const Words& in, Expectation& want) {
                          Words sums(kSize);
                          for (std::size_t i = 0; i < in.size(); ++i) {
                            want.bits(i, in[i] * 2);
                            sums[i % kSize] += in[i] * 2;
                          }
                          want.bits(kTicket, kManyBlocks);
                          for (std::size_t t = 0; t < kSize; ++t)
                            want.bits(kTicket + 1 + t, sums[t]);
                        }};

}  // namespace assay::ASSAY_TWIN::selftest
