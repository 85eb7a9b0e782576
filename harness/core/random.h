// Counter-based random numbers: value i of a sequence is a function of (seed, stream, i) alone, so
// any part of it can be made by any thread, and it is the same on every machine and instruction
// set, bit by bit.
//
// Bits come from Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1,
// 2, 3", SC 2011) with the key (seed) and the counter (block, stream), two words each, low word
// first. A group of 64 values takes the four words of 16 consecutive blocks, word by word: value i
// is word i/16%4 of block i/64*16 + i%16, so that vector code stores what it has without
// transposing it.
#pragma once

#include <cstdint>

#include "harness/core/simd.h"

namespace assay {

struct RandomSequence {
  std::uint64_t seed = 0;
  std::uint64_t stream = 0;  // sequences of different streams are independent
};

// Each writes the values [first, first + count) of the sequence; first >= 0. The instruction set
// changes the speed only.

void random_bits(RandomSequence sequence, std::int64_t first, std::int64_t count,
                 std::uint32_t* out, Isa isa = best_isa());

// Multiples of 2^-24 in [0, 1).
void random_uniform(RandomSequence sequence, std::int64_t first, std::int64_t count, float* out,
                    Isa isa = best_isa());

// Standard normal, by the transform of Box and Muller (1958): words 0 and 1 of a block make one
// pair, words 2 and 3 the other. Within 5e-7 max(1, |z|) of the exact transform of the same bits
// (2.5e-4 for the one in ten of smallest radius); |z| < 6.8, where 32 bits end the tails.
void random_gaussian(RandomSequence sequence, std::int64_t first, std::int64_t count, float* out,
                     Isa isa = best_isa());

}  // namespace assay
