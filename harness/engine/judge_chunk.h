// What interval.cc asks of most elements, eight at a time: a correct output is nearly everywhere
// the rounding of its reference, or one of its neighbours and within the bound. Answers are those
// of the single-element functions of judge_element.h to the bit; the few elements that it leaves
// open go there.
//
// Everything happens on the bits of doubles (FloatFormat): a neighbour is one step of 2^kDropped,
// and the distance in ulps the difference. Subnormals, overflow, NaN, Inf and changes of sign are
// left open.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "harness/core/convert.h"
#include "harness/core/dtype.h"
#include "harness/core/judge_element.h"
#include "harness/core/simd.h"

namespace assay {

inline constexpr int kJudgeLanes = 8;
inline constexpr std::int64_t kJudgeChunk = 128;  // elements

// Sums over the chunks of a block, by index mod kJudgeLanes: the same for every instruction set.
struct JudgeSums {
  double error_squared[kJudgeLanes] = {};  // of finite errors
  double want_squared[kJudgeLanes] = {};   // of the same elements
  std::int64_t nonzero = 0, zero_accepted = 0, unsound = 0;
};

// Of each element: the distance from the rounded reference in ulps, 0 where they are equal, and how
// much of the bound it takes; distance -1 where that is left open.
struct JudgedChunk {
  bool all_exact = false;
  alignas(64) std::int64_t distance[kJudgeChunk];
  alignas(64) double used[kJudgeChunk];
  alignas(64) double error_squared[kJudgeChunk];
  alignas(64) double want_squared[kJudgeChunk];
};

// Loops for the compiler to vectorise: no branches, and conditions are joined by & and |. (GCC
// vectors won't do. What a comparison of them gives is settled before a clone's instruction set is
// known, and AVX-512 then compares element by element.)
template <class T>
struct JudgeChunk {
  using Format = FloatFormat<T>;

  static ASSAY_INLINE std::uint64_t bits(double value) {
    return std::bit_cast<std::uint64_t>(value);
  }
  static ASSAY_INLINE double number(std::uint64_t bits) { return std::bit_cast<double>(bits); }
  static ASSAY_INLINE std::uint64_t size_bits(double value) {
    return bits(value) & 0x7fffffffffffffffULL;
  }
  // Right where the result is a normal number of T, or too large for one.
  static ASSAY_INLINE std::uint64_t rounded(std::uint64_t value) {
    constexpr std::uint64_t kHalf = 1ULL << (Format::kDropped - 1);
    return (value + (kHalf - 1) + ((value >> Format::kDropped) & 1ULL)) & ~(2 * kHalf - 1);
  }

  // Of what is exact, or 0 like its reference. False for NaN and Inf.
  static ASSAY_INLINE bool is_plain(double want, double bound) {
    constexpr std::uint64_t kLeast = std::bit_cast<std::uint64_t>(Format::kLeastNormal);
    constexpr std::uint64_t kMost = std::bit_cast<std::uint64_t>(Format::kMost);
    return (size_bits(want) >= kLeast) & (size_bits(number(rounded(bits(want)))) <= kMost) &
           (bound >= 0);
  }
  static ASSAY_INLINE bool is_exact(double want, double bound, double value) {
    return (is_plain(want, bound) & (rounded(bits(want)) == bits(value))) |
           ((want == 0) & (value == 0) & (bound >= 0));
  }

  // `count`: a multiple of kJudgeLanes, at most kJudgeChunk. Without bounds all are 0. Where all
  // elements are exact, `judged` says no more than that. A bound is unsound below `least` times its
  // reference.
  template <Isa isa>
  static ASSAY_INLINE void run(const T* got, const double* values, const double* bounds,
                               std::int64_t count, double least, JudgeSums* sums,
                               JudgedChunk* judged) {
    if (bounds)
      judge_all(
          got, values, [bounds](std::int64_t i) ASSAY_INLINE_LAMBDA { return bounds[i]; }, count,
          least, sums, judged);
    else
      judge_all(
          got, values, [](std::int64_t) ASSAY_INLINE_LAMBDA { return 0.0; }, count, least, sums,
          judged);
  }

 private:
  template <class BoundOf>
  static ASSAY_INLINE void judge_all(const T* got, const double* values, const BoundOf& bound_of,
                                     std::int64_t count, double least, JudgeSums* sums,
                                     JudgedChunk* judged) {
    judged->all_exact = look_at_all(got, values, bound_of, count, least, sums, judged);
    using Doubles = simd_vector<double, kJudgeLanes>;
    Doubles errors, wants;
    std::memcpy(&errors, sums->error_squared, sizeof errors);
    std::memcpy(&wants, sums->want_squared, sizeof wants);
    for (std::int64_t i = 0; i < count; i += kJudgeLanes) {
      Doubles error, want;
      std::memcpy(&error, judged->error_squared + i, sizeof error);
      std::memcpy(&want, judged->want_squared + i, sizeof want);
      errors += error;
      wants += want;
    }
    std::memcpy(sums->error_squared, &errors, sizeof errors);
    std::memcpy(sums->want_squared, &wants, sizeof wants);
    if (!judged->all_exact) measure_all(got, values, bound_of, count, judged);
  }

  // What is asked of every element: the sums, and whether all are exact.
  template <class BoundOf>
  static ASSAY_INLINE bool look_at_all(const T* __restrict got, const double* __restrict values,
                                       const BoundOf& bound_of, std::int64_t count, double least,
                                       JudgeSums* sums, JudgedChunk* __restrict judged) {
    constexpr std::uint64_t kExponent = 0x7ffULL << 52;
    std::uint64_t nonzero = 0, accepted = 0, inexact = 0, unsound = 0;
    for (std::int64_t i = 0; i < count; ++i) {
      const double want = values[i], bound = bound_of(i);
      const auto value = static_cast<double>(widen(got[i]));
      const double error = value - want, low = want - bound, high = want + bound;

      const bool is_finite = (bits(error) & kExponent) != kExponent;
      judged->error_squared[i] = is_finite ? error * error : 0.0;
      judged->want_squared[i] = is_finite ? want * want : 0.0;
      const bool is_nonzero = want != 0;
      const bool zero_is_inside =
          (number(size_bits(want)) <= bound) |
          ((low <= Format::kRoundsToZero) & (high >= -Format::kRoundsToZero));
      nonzero += is_nonzero ? 1 : 0;
      accepted += (is_nonzero & zero_is_inside) ? 1 : 0;
      const bool is_sound = bound >= least * number(size_bits(want));  // false for a NaN
      unsound += (((bits(want) & kExponent) != kExponent) & !is_sound) ? 1 : 0;
      inexact += is_exact(want, bound, value) ? 0 : 1;
    }
    sums->nonzero += static_cast<std::int64_t>(nonzero);
    sums->zero_accepted += static_cast<std::int64_t>(accepted);
    sums->unsound += static_cast<std::int64_t>(unsound);
    return inexact == 0;
  }

  // How far each is from exact.
  template <class BoundOf>
  static ASSAY_INLINE void measure_all(const T* __restrict got, const double* __restrict values,
                                       const BoundOf& bound_of, std::int64_t count,
                                       JudgedChunk* __restrict judged) {
    constexpr std::uint64_t kUlp = 1ULL << Format::kDropped, kSize = 0x7fffffffffffffffULL;
    constexpr std::uint64_t kLeast = std::bit_cast<std::uint64_t>(Format::kLeastNormal);
    constexpr std::uint64_t kMost = std::bit_cast<std::uint64_t>(Format::kMost);
    for (std::int64_t i = 0; i < count; ++i) {
      const double want = values[i], bound = bound_of(i);
      const auto value = static_cast<double>(widen(got[i]));
      const double error = value - want, low = want - bound, high = want + bound;

      // Sizes in the order of their bits, NaN beyond all.
      const std::uint64_t exact = rounded(bits(want));
      const std::uint64_t exact_size = exact & kSize, size = size_bits(value);
      const bool can_round = (size_bits(low) >= kLeast) & (size_bits(high) >= kLeast);
      const bool is_inside =
          (number(size_bits(error)) <= bound) | (can_round & (number(rounded(bits(low))) <= value) &
                                                 (value <= number(rounded(bits(high)))));
      const bool same_sign = (exact & ~kSize) == (bits(value) & ~kSize);
      const bool is_near =
          is_plain(want, bound) & is_inside & same_sign & (size >= kLeast) & (size <= kMost);

      // Towards the rounded reference lies the midpoint that must be passed; see utilisation_of.
      const bool is_beyond = size > exact_size;
      const std::uint64_t neighbour = is_beyond ? bits(value) - kUlp : bits(value) + kUlp;
      const double midpoint = (value + number(neighbour)) / 2;
      const double to_midpoint = value > number(exact) ? midpoint - want : want - midpoint;
      const std::uint64_t ulps =
          (is_beyond ? size - exact_size : exact_size - size) >> Format::kDropped;
      judged->used[i] = to_midpoint / bound;
      judged->distance[i] = is_exact(want, bound, value) ? 0
                            : is_near                    ? static_cast<std::int64_t>(ulps)
                                                         : -1;
    }
  }
};

}  // namespace assay
