// The interval test of one element, for host code and CUDA kernels: got passes where
// round(want - bound) <= got <= round(want + bound), with `round` the rounding to the output's
// dtype. Everything that depends on the dtype happens on the bits of doubles, so that both give the
// same answers.
#pragma once

#include <cstdint>
#include <type_traits>

#include "harness/core/convert.h"
#include "harness/core/device_function.h"
#include "harness/core/dtype.h"

namespace assay {

// The numbers of T among the doubles: those of its normal numbers are doubles whose last kDropped
// bits are 0, in the same order.
template <class T>
struct FloatFormat {
  static constexpr bool kIsF16 = std::is_same_v<T, f16>;
  static constexpr int kFraction = std::is_same_v<T, float> ? 23 : kIsF16 ? 10 : 7;  // bits
  static constexpr int kDropped = 52 - kFraction;
  static constexpr double kLeastNormal = kIsF16 ? 0x1p-14 : 0x1p-126;
  static constexpr double kLeast = kLeastNormal / (std::int64_t{1} << kFraction);
  // 2 - 2^-kFraction, scaled.
  static constexpr double kMost =
      (2 - 1.0 / (std::int64_t{1} << kFraction)) * (kIsF16 ? 0x1p15 : 0x1p127);
  // What is at most half the least subnormal rounds to 0.
  static constexpr double kRoundsToZero = kLeast / 2;
};

namespace judging {

inline constexpr std::uint64_t kSize = 0x7fffffffffffffff, kInfinite = 0x7ffULL << 52;

ASSAY_HOST_DEVICE std::uint64_t bits(double value) {
  return __builtin_bit_cast(std::uint64_t, value);
}
ASSAY_HOST_DEVICE double number(std::uint64_t bits) { return __builtin_bit_cast(double, bits); }
ASSAY_HOST_DEVICE std::uint64_t size_bits(double value) { return bits(value) & kSize; }
ASSAY_HOST_DEVICE double size(double value) { return number(size_bits(value)); }
ASSAY_HOST_DEVICE bool is_nan(double value) { return size_bits(value) > kInfinite; }
ASSAY_HOST_DEVICE bool is_inf(double value) { return size_bits(value) == kInfinite; }
ASSAY_HOST_DEVICE bool is_finite(double value) { return size_bits(value) < kInfinite; }

// `value` rounded to T: to nearest, ties to even, too large numbers to Inf.
template <class T>
ASSAY_HOST_DEVICE double rounded(double value) {
  using Format = FloatFormat<T>;
  const std::uint64_t all = bits(value), magnitude = all & kSize, sign = all & ~kSize;
  if (magnitude >= kInfinite) return value;
  const double absolute = number(magnitude);
  if (absolute < Format::kLeastNormal) {
    // An ulp of this number is the distance of T's subnormals: adding it rounds as they must be.
    constexpr double kUnit = Format::kLeast * 0x1p52;
    return number(bits((absolute + kUnit) - kUnit) | sign);
  }
  // Half of what is dropped is added (less one where the result is even), the rest cut off.
  constexpr std::uint64_t kHalf = 1ULL << (Format::kDropped - 1);
  const std::uint64_t up =
      (magnitude + (kHalf - 1) + ((magnitude >> Format::kDropped) & 1ULL)) & ~(2 * kHalf - 1);
  return number((number(up) > Format::kMost ? kInfinite : up) | sign);
}

// The numbers of T in order, as integers: neighbours differ by one, and 0 and -0 are 0. Of a number
// that T has, or Inf.
template <class T>
ASSAY_HOST_DEVICE std::int64_t rank(double value) {
  using Format = FloatFormat<T>;
  constexpr std::int64_t kFirstNormal = std::int64_t{1} << Format::kFraction;
  const double magnitude = size(value);
  const auto of_normal = [](double normal) {
    return static_cast<std::int64_t>((bits(normal) - bits(Format::kLeastNormal)) >>
                                     Format::kDropped) +
           kFirstNormal;
  };
  const std::int64_t result = magnitude > Format::kMost ? of_normal(Format::kMost) + 1
                              : magnitude >= Format::kLeastNormal
                                  ? of_normal(magnitude)
                                  : static_cast<std::int64_t>(magnitude / Format::kLeast);
  return value < 0 ? -result : result;
}

// The finite neighbour of `value`, a finite number of T, one step towards `target`.
template <class T>
ASSAY_HOST_DEVICE double neighbour(double value, double target) {
  using Format = FloatFormat<T>;
  constexpr std::int64_t kFirstNormal = std::int64_t{1} << Format::kFraction;
  const std::int64_t to = rank<T>(value) + (target > value ? 1 : -1), steps = to < 0 ? -to : to;
  const double magnitude =
      steps < kFirstNormal
          ? static_cast<double>(steps) * Format::kLeast
          : number(bits(Format::kLeastNormal) +
                   (static_cast<std::uint64_t>(steps - kFirstNormal) << Format::kDropped));
  return to < 0 ? -magnitude : magnitude;
}

// NaN in any operand makes every comparison below false, and false means not inside.
template <class T>
ASSAY_HOST_DEVICE bool inside(double want, double bound, double got) {
  if (is_nan(want)) return is_nan(got);
  if (size(got - want) <= bound) return true;  // monotone rounding: got is its own rounding
  return rounded<T>(want - bound) <= got && got <= rounded<T>(want + bound);
}

// 0 where round(want) == got, else the least t with round(want - t·bound) <= got <=
// round(want + t·bound); infinite where no t will do (NaN against a number, bound 0).
template <class T>
ASSAY_HOST_DEVICE double utilisation(double want, double bound, double got) {
  const double infinity = number(kInfinite);
  if (is_nan(want)) return is_nan(got) ? 0 : infinity;
  const double exact = rounded<T>(want);
  if (exact == got) return 0;
  if (!is_finite(got) || is_inf(exact)) return inside<T>(want, bound, got) ? 1 : infinity;
  // got is reached once want ± t·bound passes the midpoint between got and its neighbour on the
  // side of want.
  const double midpoint = (got + neighbour<T>(got, exact)) / 2;
  const double distance = got > exact ? midpoint - want : want - midpoint;
  const double t = distance / bound;
  return is_nan(t) ? infinity : t > 0 ? t : 0;
}

// Of the histogram of distances; `last`: its last bucket.
template <class T>
ASSAY_HOST_DEVICE int ulp_bucket(double want, double got, int last) {
  if (is_nan(want) || is_nan(got)) return is_nan(want) && is_nan(got) ? 0 : last;
  if (is_inf(want) != is_inf(got)) return last;
  const std::int64_t distance = rank<T>(rounded<T>(want)) - rank<T>(got);
  std::uint64_t left = static_cast<std::uint64_t>(distance < 0 ? -distance : distance);
  int bucket = 0;
  for (; left > 0 && bucket < last; left >>= 1) ++bucket;
  return bucket;
}

struct Element {
  bool right;
  int bucket;     // of the histogram of distances
  double ranked;  // its utilisation; of a right one at most 1, of a wrong one more
};

template <class T>
ASSAY_HOST_DEVICE Element judge(double want, double bound, double got, int last_bucket) {
  constexpr double kBeyondOne = 1 + 0x1p-52;
  const bool right = inside<T>(want, bound, got);
  const bool is_exact = right && rounded<T>(want) == got;
  const double used = is_exact ? 0 : utilisation<T>(want, bound, got);
  return {right, is_exact ? 0 : ulp_bucket<T>(want, got, last_bucket),
          right ? (used < 1 ? used : 1) : (used > kBeyondOne ? used : kBeyondOne)};
}

}  // namespace judging
}  // namespace assay
