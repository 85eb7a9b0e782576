// Positions, shared memory and the barriers of a block, the named ones included.
#include "kernels/device/block.h"
#include "kernels/device/vector.h"
#include "kernels/selftest/check.h"

namespace assay::ASSAY_TWIN::selftest {

namespace {
constexpr int kBlocks = 5, kPositionThreads = 96;
constexpr int kThreads = 256, kHalf = kThreads / 2;
constexpr int kRounds = 7;
}  // namespace

ASSAY_KERNEL(kPositionThreads) void positions(const Word* in, Word* out) {
  out += (block_index() * num_threads() + thread_index()) * 8;
  const int values[] = {thread_index(), block_index(), num_threads(), num_blocks(),
                        lane_index(),   warp_index(),  num_warps()};
  for (int i = 0; i < 7; ++i) out[i] = static_cast<Word>(values[i]);
  out[7] = in[0];
}
ASSAY_CHECK(positions){.name = "block/positions",
                       .covers = {"thread_index", "block_index", "num_threads", "num_blocks",
                                  "lane_index", "warp_index", "num_warps"},
                       .kernel = positions,
                       .blocks = kBlocks,
                       .threads = kPositionThreads,
                       .outputs = std::size_t{kBlocks} * kPositionThreads * 8,
                       .expect = [](const Words& in, Expectation& want) {
                         for (Word block = 0; block < kBlocks; ++block) {
                           for (Word t = 0; t < kPositionThreads; ++t) {
                             const Word values[] = {
                                 t, block, kPositionThreads, kBlocks, t % 32, t / 32, 3, in[0]};
                             for (Word i = 0; i < 8; ++i) {
                               want.bits((block * kPositionThreads + t) * 8 + i, values[i]);
                             }
                           }
                         }
                       }};

// Values that wander through two shared arrays, a barrier between any two accesses.
ASSAY_KERNEL(kThreads) void block_barriers(const Word* in, Word* out) {
  ASSAY_SHARED(words, [4][kThreads / 4 + 1], Word);
  ASSAY_SHARED(vectors, [kThreads], Vector);
  const int t = thread_index();
  Word mine = in[t];
  for (int round = 0; round < kRounds; ++round) {
    words[t % 4][t / 4] = mine;
    sync_threads();
    const int from = (t + 37) % kThreads;
    vectors[t].words[round % 4] = words[from % 4][from / 4] + 1;
    sync_threads();
    mine += vectors[kThreads - 1 - t].words[round % 4];
    sync_threads();
  }
  out[t] = mine;
}
ASSAY_CHECK(block_barriers){.name = "block/sync_threads",
                            .covers = {"sync_threads"},
                            .kernel = block_barriers,
                            .threads = kThreads,
                            .inputs = kThreads,
                            .outputs = kThreads,
                            .expect = [](const Words& in, Expectation& want) {
                              Words now(in), next(in);
                              for (int round = 0; round < kRounds; ++round) {
                                for (std::size_t t = 0; t < kThreads; ++t) {
                                  next[t] = now[t] + now[(kThreads - 1 - t + 37) % kThreads] + 1;
                                }
                                now = next;
                              }
                              for (std::size_t t = 0; t < kThreads; ++t) want.bits(t, now[t]);
                            }};

// Pairs of warps, others in odd rounds than in even ones, each with a barrier of its own; the ids
// come again after two rounds.
ASSAY_KERNEL(kThreads) void named_pairs(const Word* in, Word* out) {
  ASSAY_SHARED(values, [2][kThreads], Word);
  const int t = thread_index(), lane = lane_index(), warp = warp_index();
  Word mine = in[t];
  for (int round = 0; round < kRounds; ++round) {
    const int partner = round % 2 == 0 ? warp ^ 1 : warp ^ 4;
    const int pair = round % 2 == 0 ? warp / 2 : 4 + warp % 4;  // 0 to 7
    values[round % 2][t] = mine;
    sync_named(1 + pair, 2 * kWarpSize);
    mine += values[round % 2][partner * kWarpSize + 31 - lane];
    // Before the next but one round overwrites what the partner still reads.
    sync_named(9 + pair % 4, 2 * kWarpSize);
  }
  sync_named(15, kThreads);
  out[t] = mine;
}
ASSAY_CHECK(named_pairs){.name = "block/sync_named",
                         .covers = {"sync_named"},
                         .kernel = named_pairs,
                         .threads = kThreads,
                         .inputs = kThreads,
                         .outputs = kThreads,
                         .expect = [](const Words& in, Expectation& want) {
                           Words now(in), next(in);
                           for (std::size_t round = 0; round < kRounds; ++round) {
                             for (std::size_t t = 0; t < kThreads; ++t) {
                               const std::size_t warp = t / 32,
                                                 partner = round % 2 == 0 ? warp ^ 1 : warp ^ 4;
                               next[t] = now[t] + now[partner * 32 + 31 - t % 32];
                             }
                             now = next;
                           }
                           for (std::size_t t = 0; t < kThreads; ++t) want.bits(t, now[t]);
                         }};

// Four warps produce, four consume: a stage is announced, and given back, by arrivals that wait for
// nobody.
ASSAY_KERNEL(kThreads) void named_pipeline(const Word* in, Word* out) {
  constexpr int kStages = 2, kFull = 3, kEmpty = 13;
  ASSAY_SHARED(stages, [kStages][kHalf], Word);
  const int t = thread_index() % kHalf;
  const bool produces = warp_index() < 4;
  for (int round = 0; round < kRounds; ++round) {
    const int stage = round % kStages;
    if (produces) {
      if (round >= kStages) sync_named(kEmpty + stage, kThreads);
      stages[stage][t] = in[round * kHalf + t];
      arrive_named(kFull + stage, kThreads);
    } else {
      sync_named(kFull + stage, kThreads);
      out[round * kHalf + t] = stages[stage][(t + 41) % kHalf];
      if (round + kStages < kRounds) arrive_named(kEmpty + stage, kThreads);
    }
  }
}
ASSAY_CHECK(named_pipeline){.name = "block/arrive_named",
                            .covers = {"arrive_named", "sync_named"},
                            .kernel = named_pipeline,
                            .threads = kThreads,
                            .inputs = std::size_t{kRounds} * kHalf,
                            .outputs = std::size_t{kRounds} * kHalf,
                            .expect = [](const Words& in, Expectation& want) {
                              for (std::size_t i = 0; i < in.size(); ++i) {
                                want.bits(i, in[i / kHalf * kHalf + (i + 41) % kHalf]);
                              }
                            }};

// Two types over the same bytes, and offsets up to the end of more than 48 KB.
namespace {
constexpr std::int64_t kDynamic = 100 << 10;
constexpr int kHigh = (100 << 10) - kThreads * 4;
}  // namespace
ASSAY_KERNEL(kThreads) void dynamic(const Word* in, Word* out) {
  const int t = thread_index();
  dyn_shared<Word>()[t] = in[t];
  dyn_shared<Vector>(8192)[t].words[t % 4] = in[kThreads + t];
  dyn_shared<Word>(kHigh)[t] = in[2 * kThreads + t];
  sync_threads();
  out[t] = dyn_shared<std::uint16_t>(16)[2 * (t % (kThreads - 4)) + 1];
  const int from = (t + 1) % kThreads;
  out[kThreads + t] = dyn_shared<Word>(8192)[4 * from + from % 4];
  out[2 * kThreads + t] = dyn_shared<Word>(kHigh - 16)[4 + kThreads - 1 - t];
}
ASSAY_CHECK(dynamic){.name = "block/dyn_shared",
                     .covers = {"dyn_shared"},
                     .kernel = dynamic,
                     .threads = kThreads,
                     .shared_bytes = kDynamic,
                     .inputs = std::size_t{3} * kThreads,
                     .outputs = std::size_t{3} * kThreads,
                     .expect = [](const Words& in, Expectation& want) {
                       for (std::size_t t = 0; t < kThreads; ++t) {
                         want.bits(t, in[4 + t % (kThreads - 4)] >> 16);
                         want.bits(kThreads + t, in[kThreads + (t + 1) % kThreads]);
                         want.bits(2 * kThreads + t, in[2 * kThreads + kThreads - 1 - t]);
                       }
                     }};

}  // namespace assay::ASSAY_TWIN::selftest
