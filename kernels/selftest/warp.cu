// Warp collectives: all lanes and some, sources outside of the warp, wrap-around.
#include <algorithm>

#include "kernels/device/warp.h"
#include "kernels/selftest/check.h"

namespace assay::ASSAY_TWIN::selftest {

namespace {

constexpr int kThreads = 2 * kWarpSize;

// out[which][thread]
constexpr std::size_t at(int which, int thread) {
  return static_cast<std::size_t>(which * kThreads + thread);
}

// Word `i` of each thread, in[i][thread].
const Word& word(const Words& in, int i, int thread) { return in[at(i, thread)]; }

// The same for threads of the device.
ASSAY_DEVICE int slot(int which) { return which * num_threads() + thread_index(); }

constexpr Word kLower = 0x0000ffffu, kUpper = 0xffff0000u, kOdd = 0xaaaaaaaau, kEven = 0x55555555u;

}  // namespace

// PTX ISA, shfl.sync.idx: the source is its low five bits.
ASSAY_KERNEL(kThreads) void shuffle_index(const Word* in, Word* out) {
  const Word mine = in[slot(0)];
  const int source = static_cast<int>(in[slot(1)] % 256) - 128;  // outside of the warp, too
  out[slot(0)] = shuffle(mine, source);
  out[slot(1)] = as_bits(shuffle(as_float(mine), lane_index() + 1));
  const std::uint64_t wide = shuffle(static_cast<std::uint64_t>(mine) << 32 | in[slot(1)], source);
  out[slot(2)] = static_cast<Word>(wide);
  out[slot(3)] = static_cast<Word>(wide >> 32);
  // The odd lanes among themselves, the even ones later.
  if (lane_index() % 2 == 1) {
    out[slot(4)] = shuffle(mine, source | 1, kOdd);
  } else {
    out[slot(4)] = shuffle(mine, source & ~1, kEven);
  }
}
ASSAY_CHECK(shuffle_index){
    .name = "warp/shuffle",
    .covers = {"shuffle"},
    .kernel = shuffle_index,
    .threads = kThreads,
    .inputs = at(2, 0),
    .outputs = at(5, 0),
    .prepare =
        [](Words& in) {
          for (int t = 0; t < kThreads; ++t) in[at(0, t)] &= 0xff7fffffu;  // no NaN
        },
    .expect =
        [](const Words& in, Expectation& want) {
          for (int t = 0; t < kThreads; ++t) {
            const int lane = t % 32, first = t - lane;
            const int source = static_cast<int>(word(in, 1, t) % 256) + 128;  // the same modulo 32
            const int from = first + source % 32;
            want.bits(at(0, t), word(in, 0, from));
            want.bits(at(1, t), word(in, 0, first + (lane + 1) % 32));
            want.bits(at(2, t), word(in, 1, from));
            want.bits(at(3, t), word(in, 0, from));
            want.bits(at(4, t), word(in, 0, first + source % 32 / 2 * 2 + lane % 2));
          }
        }};

// shfl.sync.bfly: lane ^ the low five bits.
ASSAY_KERNEL(kThreads) void shuffle_across(const Word* in, Word* out) {
  const Word mine = in[slot(0)];
  for (int bits = 0; bits < 40; ++bits) out[slot(bits)] = shuffle_xor(mine, bits);
  if (lane_index() < 16) {
    out[slot(40)] = shuffle_xor(mine, 5, kLower);
  } else {
    out[slot(40)] = shuffle_xor(mine, 10, kUpper);
  }
}
ASSAY_CHECK(shuffle_across){.name = "warp/shuffle_xor",
                            .covers = {"shuffle_xor"},
                            .kernel = shuffle_across,
                            .threads = kThreads,
                            .inputs = at(1, 0),
                            .outputs = at(41, 0),
                            .expect = [](const Words& in, Expectation& want) {
                              for (int t = 0; t < kThreads; ++t) {
                                for (int bits = 0; bits < 40; ++bits)
                                  want.bits(at(bits, t), in[at(0, t ^ bits % 32)]);
                                want.bits(at(40, t), in[at(0, t % 32 < 16 ? t ^ 5 : t ^ 10)]);
                              }
                            }};

// shfl.sync.up and .down: the low five bits of the distance; the own value where there is no lane.
// Partial masks in which every source that there is takes part.
ASSAY_KERNEL(kThreads) void shuffle_along(const Word* in, Word* out) {
  const Word mine = in[slot(0)];
  for (int delta = 0; delta < 36; ++delta) {
    out[slot(2 * delta)] = shuffle_up(mine, delta);
    out[slot(2 * delta + 1)] = shuffle_down(mine, delta);
  }
  if (lane_index() % 2 == 1) {
    out[slot(72)] = shuffle_up(mine, 2, kOdd);
    out[slot(73)] = shuffle_down(mine, 4, kOdd);
  } else {
    out[slot(72)] = shuffle_up(mine, 4, kEven);
    out[slot(73)] = shuffle_down(mine, 2, kEven);
  }
  if (lane_index() < 16) {
    out[slot(74)] = shuffle_up(mine, 3, kLower);
  } else {
    out[slot(74)] = shuffle_down(mine, 5, kUpper);
  }
}
ASSAY_CHECK(shuffle_along){.name = "warp/shuffle_up_down",
                           .covers = {"shuffle_up", "shuffle_down"},
                           .kernel = shuffle_along,
                           .threads = kThreads,
                           .inputs = at(1, 0),
                           .outputs = at(75, 0),
                           .expect = [](const Words& in, Expectation& want) {
                             for (int t = 0; t < kThreads; ++t) {
                               const int lane = t % 32;
                               const auto moved = [&](int by) {
                                 return in[at(0, lane + by >= 0 && lane + by < 32 ? t + by : t)];
                               };
                               for (int delta = 0; delta < 36; ++delta) {
                                 want.bits(at(2 * delta, t), moved(-(delta % 32)));
                                 want.bits(at(2 * delta + 1, t), moved(delta % 32));
                               }
                               want.bits(at(72, t), moved(lane % 2 == 1 ? -2 : -4));
                               want.bits(at(73, t), moved(lane % 2 == 1 ? 4 : 2));
                               want.bits(at(74, t), moved(lane < 16 ? -3 : 5));
                             }
                           }};

// vote.sync: lanes outside of the mask do not count, even if they would vote otherwise.
ASSAY_KERNEL(kThreads) void votes(const Word* in, Word* out) {
  const Word mine = in[slot(0)];
  const bool vote = mine % 2 == 1, third = lane_index() % 3 == 0;
  constexpr Word kThird = 0x49249249u;
  out[slot(0)] = vote_ballot(vote);
  out[slot(1)] = vote_ballot(true);
  out[slot(2)] = vote_ballot(false);
  out[slot(3)] = vote_any(lane_index() == 31) ? 1 : 0;
  out[slot(4)] = vote_any(false) ? 1 : 0;
  out[slot(5)] = vote_all(lane_index() != 17) ? 1 : 0;
  out[slot(6)] = vote_all(true) ? 1 : 0;
  if (third) {
    out[slot(7)] = vote_ballot(vote, kThird);
    out[slot(8)] = vote_any(vote && !third, kThird) ? 1 : 0;
    out[slot(9)] = vote_all(third, kThird) ? 1 : 0;
  } else {
    out[slot(7)] = vote_ballot(vote, ~kThird);
    out[slot(8)] = vote_any(lane_index() == 31, ~kThird) ? 1 : 0;
    out[slot(9)] = vote_all(lane_index() != 31, ~kThird) ? 1 : 0;
  }
}
ASSAY_CHECK(votes){.name = "warp/votes",
                   .covers = {"vote_ballot", "vote_any", "vote_all"},
                   .kernel = votes,
                   .threads = kThreads,
                   .inputs = at(1, 0),
                   .outputs = at(10, 0),
                   .expect = [](const Words& in, Expectation& want) {
                     for (int t = 0; t < kThreads; ++t) {
                       const int lane = t % 32, first = t - lane;
                       Word all = 0,
                            same = 0;  // same: of the lanes on this one's side of the branch
                       for (int other = 0; other < 32; ++other) {
                         const Word bit = (in[at(0, first + other)] % 2) << other;
                         all |= bit;
                         if ((other % 3 == 0) == (lane % 3 == 0)) same |= bit;
                       }
                       const bool third = lane % 3 == 0;
                       const Word values[] = {
                           all, 0xffffffffu, 0, 1, 0, 0, 1, same, third ? 0u : 1u, third ? 1u : 0u};
                       for (int i = 0; i < 10; ++i) want.bits(at(i, t), values[i]);
                     }
                   }};

// Lanes that talk through shared memory: only those of the mask wait for each other.
ASSAY_KERNEL(kThreads) void warp_barriers(const Word* in, Word* out) {
  ASSAY_SHARED(values, [kThreads], Word);
  const int t = thread_index(), first = t - lane_index();
  Word mine = in[t];
  for (int round = 0; round < 3; ++round) {
    values[t] = mine;
    sync_warp();
    mine += values[first + (lane_index() + 7) % 32];
    sync_warp();
  }
  out[slot(0)] = mine;
  for (int round = 0; round < 3; ++round) {
    values[t] = mine;
    if (lane_index() < 16) {
      sync_warp(kLower);
      mine += values[t ^ 15];
      sync_warp(kLower);
    } else if (lane_index() % 2 == 1) {
      sync_warp(kUpper & kOdd);
      mine += values[t ^ 14];
      sync_warp(kUpper & kOdd);
    }
  }
  out[slot(1)] = mine;
}
ASSAY_CHECK(warp_barriers){
    .name = "warp/sync_warp",
    .covers = {"sync_warp"},
    .kernel = warp_barriers,
    .threads = kThreads,
    .inputs = at(1, 0),
    .outputs = at(2, 0),
    .expect = [](const Words& in, Expectation& want) {
      Words now(in);
      const auto step = [&](auto source) {
        Words next(now);
        for (int t = 0; t < kThreads; ++t) {
          const int from = source(t);
          if (from >= 0) next[at(0, t)] = now[at(0, t)] + now[at(0, from)];
        }
        now = next;
      };
      for (int i = 0; i < 3; ++i) step([](int t) { return t / 32 * 32 + (t + 7) % 32; });
      for (int t = 0; t < kThreads; ++t) want.bits(at(0, t), now[at(0, t)]);
      for (int i = 0; i < 3; ++i) {
        step([](int t) { return t % 32 < 16 ? t ^ 15 : t % 2 == 1 ? t ^ 14 : -1; });
      }
      for (int t = 0; t < kThreads; ++t) want.bits(at(1, t), now[at(0, t)]);
    }};

// Groups of lanes that differ in the bits from kFrom to below kTo; the sum is that of a butterfly
// from the least bit on, rounded at every step.
ASSAY_KERNEL(kThreads) void sums(const Word* in, Word* out) {
  const float x = as_float(in[slot(0)]);
  out[slot(0)] = as_bits(warp_sum(x));
  out[slot(1)] = as_bits(warp_sum<1, 4>(x));
  out[slot(2)] = as_bits(warp_sum<4, 32>(x));
  out[slot(3)] = as_bits(warp_sum<2, 16>(x));
  out[slot(4)] = as_bits(warp_sum<16, 32>(x));
  out[slot(5)] = as_bits(warp_max(x));
  out[slot(6)] = as_bits(warp_max<1, 4>(x));
  out[slot(7)] = as_bits(warp_max<4, 32>(x));
  out[slot(8)] = as_bits(warp_max<2, 16>(x));
  // NaN in some lanes, then in all of a group.
  const float holes = lane_index() % 3 == 0 || lane_index() < 8 ? as_float(0x7fc00000u) : x;
  out[slot(9)] = as_bits(warp_max(holes));
  out[slot(10)] = as_bits(warp_max<1, 8>(holes));
}
ASSAY_CHECK(sums){
    .name = "warp/warp_sum_max",
    .covers = {"warp_sum", "warp_max", "as_float", "as_bits"},
    .kernel = sums,
    .threads = kThreads,
    .inputs = at(1, 0),
    .outputs = at(11, 0),
    .prepare =
        [](Words& in) {  // of several magnitudes, so that the order of the sum shows
          for (Word& w : in) {
            w = bits_of(std::ldexp(small_integer(w, 1 << 20), static_cast<int>(w % 7)));
          }
        },
    .expect =
        [](const Words& in, Expectation& want) {
          const auto sum = [&](int which, int from, int to) {
            std::vector<float> now(kThreads), next(kThreads);
            for (int t = 0; t < kThreads; ++t) now[at(0, t)] = number(in[at(0, t)]);
            for (int bit = from; bit < to; bit *= 2) {
              for (int t = 0; t < kThreads; ++t)
                next[at(0, t)] = now[at(0, t)] + now[at(0, t ^ bit)];
              now = next;
            }
            for (int t = 0; t < kThreads; ++t) want.bits(at(which, t), bits_of(now[at(0, t)]));
          };
          const auto most = [&](int which, int from, int to, bool holes) {
            const int varying = to - from;  // the bits from `from` to below `to`
            for (int t = 0; t < kThreads; ++t) {
              double greatest = std::numeric_limits<double>::quiet_NaN();
              for (int other = t / 32 * 32; other < t / 32 * 32 + 32; ++other) {
                if (((other ^ t) & ~varying) != 0) continue;
                if (holes && (other % 32 % 3 == 0 || other % 32 < 8)) continue;
                const double x = number(in[at(0, other)]);
                greatest = greatest >= x ? greatest : x;
              }
              want.number(at(which, t), greatest);
            }
          };
          sum(0, 1, 32);
          sum(1, 1, 4);
          sum(2, 4, 32);
          sum(3, 2, 16);
          sum(4, 16, 32);
          most(5, 1, 32, false);
          most(6, 1, 4, false);
          most(7, 4, 32, false);
          most(8, 2, 16, false);
          most(9, 1, 32, true);
          most(10, 1, 8, true);
        }};

template <int kCount>
ASSAY_DEVICE float sum_each(const Word* in) {
  float values[kCount];
  for (int i = 0; i < kCount; ++i) values[i] = as_float(in[slot(i)]);
  return warp_sum_each(values);
}
ASSAY_KERNEL(kThreads) void sums_each(const Word* in, Word* out) {
  out[slot(0)] = as_bits(sum_each<1>(in));
  out[slot(1)] = as_bits(sum_each<2>(in));
  out[slot(2)] = as_bits(sum_each<4>(in));
  out[slot(3)] = as_bits(sum_each<8>(in));
  out[slot(4)] = as_bits(sum_each<16>(in));
  out[slot(5)] = as_bits(sum_each<32>(in));
}
ASSAY_CHECK(sums_each){.name = "warp/warp_sum_each",
                       .covers = {"warp_sum_each"},
                       .kernel = sums_each,
                       .threads = kThreads,
                       .inputs = at(32, 0),
                       .outputs = at(6, 0),
                       .prepare =
                           [](Words& in) {
                             for (Word& w : in)
                               w = bits_of(small_integer(w, 1 << 18));  // sums below 2^24: exact
                           },
                       .expect =
                           [](const Words& in, Expectation& want) {
                             for (int which = 0; which < 6; ++which) {
                               const int count = 1 << which;
                               for (int t = 0; t < kThreads; ++t) {
                                 double sum = 0;
                                 for (int other = t / count * count;
                                      other < t / count * count + count; ++other) {
                                   sum += number(word(in, t % count, other));
                                 }
                                 want.number(at(which, t), sum);
                               }
                             }
                           }};

}  // namespace assay::ASSAY_TWIN::selftest
