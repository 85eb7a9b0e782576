// Asynchronous copies: groups of 16 bytes, bulk copies, and the mbarriers that count their bytes.
#include "kernels/device/async_copy.h"
#include "kernels/device/mbarrier.h"
#include "kernels/device/vector.h"
#include "kernels/device/warp.h"
#include "kernels/selftest/check.h"

namespace assay::ASSAY_TWIN::selftest {

namespace {

constexpr int kThreads = 128;
constexpr std::size_t kSize = kThreads;  // for the host's indices

ASSAY_DEVICE void put(Word* out, const Vector& vector) {
  for (int i = 0; i < 4; ++i) out[i] = vector.words[i];
}

}  // namespace

// Three groups of copies and an empty one; each is read by its own thread as soon as it may be, and
// the last by another thread after a barrier. What is not valid becomes zeros.
ASSAY_KERNEL(kThreads) void copy_groups(const Word* in, Word* out) {
  ASSAY_SHARED(stages, [4][kThreads], Vector);
  const int t = thread_index();
  const auto start = [&](int group, bool valid) {
    copy_async16(&stages[group][t], in + (group * kThreads + t) * 4, valid);
  };
  for (int group = 0; group < 4; ++group) {
    for (int i = 0; i < 4; ++i) stages[group][t].words[i] = 0xdeadbeefu;
  }
  sync_threads();
  start(0, true);
  commit_async();
  start(1, t % 5 != 0);
  commit_async();
  start(2, t % 3 == 0);
  start(3, true);
  commit_async();
  wait_async<2>();
  put(out + t * 4, stages[0][t]);
  commit_async();  // empty
  wait_async<2>();
  put(out + (kThreads + t) * 4, stages[1][t]);
  wait_async<1>();
  put(out + (2 * kThreads + t) * 4, stages[2][t]);
  wait_async<0>();
  sync_threads();
  put(out + (3 * kThreads + t) * 4, stages[3][(t + 33) % kThreads]);
}
ASSAY_CHECK(copy_groups){.name = "copies/cp_async",
                         .covers = {"copy_async16", "commit_async", "wait_async"},
                         .arch = {80, 0},
                         .kernel = copy_groups,
                         .threads = kThreads,
                         .inputs = kSize * 16,
                         .outputs = kSize * 16,
                         .expect = [](const Words& in, Expectation& want) {
                           for (std::size_t t = 0; t < kSize; ++t) {
                             for (std::size_t i = 0; i < 4; ++i) {
                               const auto of = [&](std::size_t group, std::size_t thread) {
                                 return (group * kSize + thread) * 4 + i;
                               };
                               want.bits(of(0, t), in[of(0, t)]);
                               want.bits(of(1, t), t % 5 != 0 ? in[of(1, t)] : 0);
                               want.bits(of(2, t), t % 3 == 0 ? in[of(2, t)] : 0);
                               want.bits(of(3, t), in[of(3, (t + 33) % kSize)]);
                             }
                           }
                         }};

// A ring of two stages that is filled one round ahead.
namespace {
constexpr int kRingRounds = 6;
}
ASSAY_KERNEL(kThreads) void copy_ring(const Word* in, Word* out) {
  ASSAY_SHARED(stages, [2][kThreads], Vector);
  const int t = thread_index();
  const auto start = [&](int round) {
    if (round < kRingRounds) {
      copy_async16(&stages[round % 2][t], in + (round * kThreads + t) * 4, true);
    }
    commit_async();
  };
  start(0);
  for (int round = 0; round < kRingRounds; ++round) {
    start(round + 1);
    wait_async<1>();
    sync_threads();
    put(out + (round * kThreads + t) * 4, stages[round % 2][t ^ 77]);
    sync_threads();
  }
}
ASSAY_CHECK(copy_ring){.name = "copies/cp_async_ring",
                       .covers = {"copy_async16", "commit_async", "wait_async"},
                       .arch = {80, 0},
                       .kernel = copy_ring,
                       .threads = kThreads,
                       .inputs = kSize * 4 * kRingRounds,
                       .outputs = kSize * 4 * kRingRounds,
                       .expect = [](const Words& in, Expectation& want) {
                         for (std::size_t i = 0; i < in.size(); ++i)
                           want.bits(i, in[i ^ std::size_t{77} * 4]);
                       }};

// One thread and a barrier that takes two arrivals: what a test says before and after each.
namespace {
constexpr int kPhases = 7;
}
ASSAY_KERNEL(kWarpSize) void mbarrier_phases(const Word* in, Word* out) {
#if ASSAY_HAS_SM90
  ASSAY_SHARED(barrier, [1], std::uint64_t);
  if (thread_index() != 0) return;
  mbarrier_init(&barrier[0], 2);
  mbarrier_fence();
  const auto test = [&](int parity) { return mbarrier_test(&barrier[0], parity) ? 1u : 0u; };
  for (int phase = 0; phase < kPhases; ++phase) {
    Word* to = out + phase * 8;
    const int parity = phase % 2;
    to[0] = test(parity);
    to[1] = test(parity ^ 1);
    mbarrier_wait(&barrier[0], parity ^ 1);
    mbarrier_arrive(&barrier[0]);
    to[2] = test(parity);
    to[3] = test(parity ^ 1);
    mbarrier_arrive_expect(&barrier[0], 0);
    mbarrier_wait(&barrier[0], parity);
    to[4] = test(parity);
    to[5] = test(parity ^ 1);
    to[6] = in[phase];
    to[7] = 0;
  }
#endif
}
ASSAY_CHECK(mbarrier_phases){
    .name = "copies/mbarrier_test",
    .covers = {"mbarrier_init", "mbarrier_fence", "mbarrier_test", "mbarrier_wait",
               "mbarrier_arrive", "mbarrier_arrive_expect"},
    .arch = kSm90,
    .kernel = mbarrier_phases,
    .inputs = kPhases,
    .outputs = std::size_t{kPhases} * 8,
    .expect = [](const Words& in, Expectation& want) {
      for (std::size_t phase = 0; phase < kPhases; ++phase) {
        const Word values[] = {0, 1, 0, 1, 1, 0, in[phase], 0};
        for (std::size_t i = 0; i < 8; ++i) want.bits(phase * 8 + i, values[i]);
      }
    }};

// All threads arrive and wait, by turns at two barriers; values go round the block.
ASSAY_KERNEL(kThreads) void mbarrier_arrivals(const Word* in, Word* out) {
#if ASSAY_HAS_SM90
  ASSAY_SHARED(barriers, [2], std::uint64_t);
  ASSAY_SHARED(values, [kThreads], Word);
  const int t = thread_index();
  if (t == 0) {
    mbarrier_init(&barriers[0], kThreads);
    mbarrier_init(&barriers[1], kThreads);
    mbarrier_fence();
  }
  sync_threads();
  Word mine = in[t];
  for (int phase = 0; phase < kPhases; ++phase) {
    values[t] = mine;
    mbarrier_arrive(&barriers[0]);
    mbarrier_wait(&barriers[0], phase % 2);
    mine += values[(t + 45) % kThreads];
    mbarrier_arrive(&barriers[1]);
    while (!mbarrier_test(&barriers[1], phase % 2)) {
    }
  }
  out[t] = mine;
#endif
}
ASSAY_CHECK(mbarrier_arrivals){
    .name = "copies/mbarrier_arrive",
    .covers = {"mbarrier_init", "mbarrier_arrive", "mbarrier_wait", "mbarrier_test"},
    .arch = kSm90,
    .kernel = mbarrier_arrivals,
    .threads = kThreads,
    .inputs = kSize,
    .outputs = kSize,
    .expect = [](const Words& in, Expectation& want) {
      Words now(in), next(in);
      for (int phase = 0; phase < kPhases; ++phase) {
        for (std::size_t t = 0; t < kSize; ++t) next[t] = now[t] + now[(t + 45) % kSize];
        now = next;
      }
      for (std::size_t t = 0; t < kSize; ++t) want.bits(t, now[t]);
    }};

// Bulk copies of three sizes a phase. Its three arrivals come from three warps: bytes announced
// before their copies start, bytes announced after (the count is below zero meanwhile), none.
namespace {
constexpr int kBulkRounds = 6;
constexpr int kFirst = 4, kSecond = 128, kThird = 508;  // words
constexpr int kRoundWords = kFirst + kSecond + kThird;
}  // namespace
ASSAY_KERNEL(kThreads) void bulk_copies(const Word* in, Word* out) {
#if ASSAY_HAS_SM90
  ASSAY_SHARED(barrier, [1], std::uint64_t);
  ASSAY_SHARED(values, [kRoundWords / 4], Vector);
  const int t = thread_index();
  Word* words = &values[0].words[0];
  if (t == 0) {
    mbarrier_init(&barrier[0], 3);
    mbarrier_fence();
  }
  sync_threads();
  for (int round = 0; round < kBulkRounds; ++round) {
    const Word* from = in + round * kRoundWords;
    if (t == 0) {
      mbarrier_arrive_expect(&barrier[0], (kFirst + kSecond) * 4);
      copy_bulk(words, from, kFirst * 4, &barrier[0]);
      copy_bulk(words + kFirst, from + kFirst, kSecond * 4, &barrier[0]);
    } else if (t == 32) {
      constexpr int kRest = kFirst + kSecond;
      copy_bulk(words + kRest, from + kRest, kThird * 4, &barrier[0]);
      mbarrier_arrive_expect(&barrier[0], kThird * 4);
    } else if (t == 64) {
      mbarrier_arrive(&barrier[0]);
    }
    mbarrier_wait(&barrier[0], round % 2);
    for (int i = t; i < kRoundWords; i += kThreads) {
      out[round * kRoundWords + i] = words[kRoundWords - 1 - i];
    }
    sync_threads();
  }
#endif
}
ASSAY_CHECK(bulk_copies){
    .name = "copies/copy_bulk",
    .covers = {"copy_bulk", "mbarrier_arrive_expect", "mbarrier_arrive", "mbarrier_wait"},
    .arch = kSm90,
    .kernel = bulk_copies,
    .threads = kThreads,
    .inputs = std::size_t{kBulkRounds} * kRoundWords,
    .outputs = std::size_t{kBulkRounds} * kRoundWords,
    .expect = [](const Words& in, Expectation& want) {
      for (std::size_t i = 0; i < in.size(); ++i) {
        const std::size_t first = i / kRoundWords * kRoundWords;
        want.bits(i, in[first + kRoundWords - 1 - (i - first)]);
      }
    }};

// A producing thread and three consuming warps over two stages: each of the four barriers runs
// through six phases.
namespace {
[[maybe_unused]] constexpr int kStages = 2;  // nvcc sees no use below sm_90
constexpr int kPipelineRounds = 12, kStageWords = 256;
}  // namespace
ASSAY_KERNEL(kThreads) void bulk_pipeline(const Word* in, Word* out) {
#if ASSAY_HAS_SM90
  ASSAY_SHARED(full, [kStages], std::uint64_t);
  ASSAY_SHARED(empty, [kStages], std::uint64_t);
  ASSAY_SHARED(stages, [kStages][kStageWords / 4], Vector);
  const int t = thread_index();
  if (t == 0) {
    for (int stage = 0; stage < kStages; ++stage) {
      mbarrier_init(&full[stage], 1);
      mbarrier_init(&empty[stage], 3);
    }
    mbarrier_fence();
  }
  sync_threads();
  for (int round = 0; round < kPipelineRounds; ++round) {
    const int stage = round % kStages, phase = round / kStages % 2;
    if (t == 0) {
      mbarrier_wait(&empty[stage], phase ^ 1);
      mbarrier_arrive_expect(&full[stage], kStageWords * 4);
      for (int part = 0; part < 4; ++part) {
        copy_bulk(&stages[stage][part * kStageWords / 16],
                  in + round * kStageWords + part * kStageWords / 4, kStageWords, &full[stage]);
      }
    } else if (warp_index() > 0) {
      mbarrier_wait(&full[stage], phase);
      for (int i = t - kWarpSize; i < kStageWords; i += kThreads - kWarpSize) {
        out[round * kStageWords + i] = stages[stage][(i ^ 80) / 4].words[i % 4];
      }
      sync_warp();
      if (lane_index() == 0) mbarrier_arrive(&empty[stage]);
    }
  }
#endif
}
ASSAY_CHECK(bulk_pipeline){
    .name = "copies/pipeline",
    .covers = {"copy_bulk", "mbarrier_arrive_expect", "mbarrier_arrive", "mbarrier_wait"},
    .arch = kSm90,
    .kernel = bulk_pipeline,
    .threads = kThreads,
    .inputs = std::size_t{kPipelineRounds} * kStageWords,
    .outputs = std::size_t{kPipelineRounds} * kStageWords,
    .expect = [](const Words& in, Expectation& want) {
      for (std::size_t i = 0; i < in.size(); ++i) want.bits(i, in[i ^ 80]);
    }};

}  // namespace assay::ASSAY_TWIN::selftest
