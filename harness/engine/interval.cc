#include "harness/engine/interval.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <tuple>
#include <type_traits>
#include <vector>

#include "harness/core/parallel.h"
#include "harness/engine/judge_chunk.h"

namespace assay {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

template <class T>
double rounded(double value) {
  return to_float(round_to<T>(value));
}

// The neighbour of `value` in the storage type T, one step towards `target`.
template <class T>
double neighbour(double value, double target) {
  const bool up = target > value;
  if constexpr (std::is_same_v<T, float>) {
    const float to =
        up ? std::numeric_limits<float>::infinity() : -std::numeric_limits<float>::infinity();
    return std::nextafter(static_cast<float>(value), to);
  } else {
    // 16-bit floats are ordered like sign-magnitude integers.
    T stored = round_to<T>(value);
    if ((stored.bits & 0x7fff) == 0) {
      stored.bits = up ? 0x0001 : 0x8001;
    } else {
      const bool negative = (stored.bits & 0x8000) != 0;
      stored.bits = static_cast<std::uint16_t>(stored.bits + (negative == up ? -1 : 1));
    }
    return to_float(stored);
  }
}

// NaN in any operand makes every comparison below false, and false means not inside.
template <class T>
bool inside(double want, double bound, double got) {
  if (std::isnan(want)) return std::isnan(got);
  if (std::abs(got - want) <= bound) return true;  // monotone rounding: got is its own rounding
  return rounded<T>(want - bound) <= got && got <= rounded<T>(want + bound);
}

template <class T>
double utilisation_of(double want, double bound, double got) {
  if (std::isnan(want)) return std::isnan(got) ? 0 : kInfinity;
  const double exact = rounded<T>(want);
  if (exact == got) return 0;
  if (std::isnan(got) || std::isinf(got) || std::isinf(exact))
    return inside<T>(want, bound, got) ? 1 : kInfinity;
  // got is reached once want ± t·bound passes the midpoint between got and its neighbour on the
  // side of want.
  const double midpoint = (got + neighbour<T>(got, exact)) / 2;
  const double distance = got > exact ? midpoint - want : want - midpoint;
  const double t = distance / bound;
  return std::isnan(t) ? kInfinity : std::max(t, 0.0);
}

// The numbers of a float type in order, as integers: neighbours differ by one.
template <class T>
std::int64_t rank(double value) {
  std::int64_t bits = 0, sign = 0;
  if constexpr (std::is_same_v<T, float>) {
    bits = std::bit_cast<std::uint32_t>(static_cast<float>(value));
    sign = std::int64_t{1} << 31;
  } else {
    bits = round_to<T>(value).bits;
    sign = std::int64_t{1} << 15;
  }
  return (bits & sign) != 0 ? sign - bits : bits;
}

template <class T>
std::size_t ulp_bucket(double want, double got) {
  constexpr std::size_t kLast = std::tuple_size_v<UlpHistogram> - 1;
  if (std::isnan(want) || std::isnan(got)) return std::isnan(want) && std::isnan(got) ? 0 : kLast;
  const std::int64_t distance = std::abs(rank<T>(want) - rank<T>(got));
  if (std::isinf(want) != std::isinf(got)) return kLast;
  return std::min(kLast,
                  static_cast<std::size_t>(std::bit_width(static_cast<std::uint64_t>(distance))));
}

// What is left to ask of an element: the sums over all of them are the chunk's.
template <class T>
void judge_element(double want, double bound, double value, std::int64_t index, Judgement& part) {
  const bool right = inside<T>(want, bound, value);
  const bool is_exact = right && rounded<T>(want) == value;
  ++part.ulps[is_exact ? 0 : ulp_bucket<T>(want, value)];
  const double used = is_exact ? 0 : utilisation_of<T>(want, bound, value);
  const double ranked = right ? std::min(used, 1.0) : std::max(used, std::nextafter(1.0, 2.0));
  if (!right) ++part.wrong;
  if (ranked > part.utilisation) {
    part.utilisation = ranked;
    part.worst = index;
  }
}

// Lanes in a fixed order, whatever the instruction set.
double total(const double (&lanes)[kJudgeLanes]) {
  double sum = 0;
  for (const double lane : lanes) sum += lane;
  return sum;
}

// The elements [begin, begin + count) of a chunk, as `judged` found them.
template <class T>
void count_chunk(const T* got, const double* value, const double* bound, std::int64_t begin,
                 std::int64_t count, const JudgedChunk& judged, Judgement& part) {
  constexpr std::int64_t kLast = std::tuple_size_v<UlpHistogram> - 1;
  if (judged.all_exact) {
    part.ulps[0] += count;
    return;
  }
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t distance = judged.distance[i];
    if (distance == 0) {
      ++part.ulps[0];
    } else if (distance > 0) {
      const std::int64_t bucket = std::bit_width(static_cast<std::uint64_t>(distance));
      ++part.ulps[static_cast<std::size_t>(std::min(kLast, bucket))];
      const double ranked = std::min(judged.used[i], 1.0);
      if (!(ranked > part.utilisation)) continue;
      part.utilisation = ranked;
      part.worst = begin + i;
    } else {
      judge_element<T>(value[i], bound ? bound[i] : 0, to_float(got[i]), begin + i, part);
    }
  }
}

template <class T>
void judge_part(const T* got, const Expected& expected, bool exact, double least,
                std::int64_t begin, std::int64_t end, Judgement& part) {
  JudgeSums sums;
  JudgedChunk judged;
  const double* const value = expected.value.get();
  const double* const bound = exact ? nullptr : expected.bound.get();
  const auto at = [](const double* from, std::int64_t i) { return from ? from + i : nullptr; };
  const std::int64_t whole = begin + (end - begin) / kJudgeLanes * kJudgeLanes;
  for (std::int64_t i = begin; i < whole; i += kJudgeChunk) {
    const std::int64_t count = std::min(kJudgeChunk, whole - i);
    run_simd<JudgeChunk<T>>(got + i, value + i, at(bound, i), count, least, &sums, &judged);
    count_chunk(got + i, value + i, at(bound, i), i, count, judged, part);
  }
  if (const std::int64_t left = end - whole; left > 0) {  // filled up with zeros, which are right
    T last_got[kJudgeLanes] = {};
    double last_value[kJudgeLanes] = {}, last_bound[kJudgeLanes] = {};
    std::copy_n(got + whole, left, last_got);
    std::copy_n(value + whole, left, last_value);
    if (bound) std::copy_n(bound + whole, left, last_bound);
    run_simd<JudgeChunk<T>>(static_cast<const T*>(last_got), static_cast<const double*>(last_value),
                            static_cast<const double*>(last_bound), std::int64_t{kJudgeLanes},
                            least, &sums, &judged);
    count_chunk(last_got, last_value, last_bound, whole, left, judged, part);
  }
  part.error_squared = total(sums.error_squared);
  part.want_squared = total(sums.want_squared);
  part.nonzero = sums.nonzero;
  part.zero_accepted = sums.zero_accepted;
  part.unsound = sums.unsound;
}

}  // namespace

double utilisation(double want, double bound, double got, DType dtype) {
  return dispatch(dtype, [&](auto type) {
    return utilisation_of<typename decltype(type)::type>(want, bound, got);
  });
}

double Judgement::error_rms() const {
  return elements > 0 ? std::sqrt(error_squared / static_cast<double>(elements)) : 0;
}

double Judgement::error_normwise() const {
  return want_squared > 0 ? std::sqrt(error_squared / want_squared) : 0;
}

Judgement judge(const TensorSpec& spec, const void* got, const Expected& expected, bool exact,
                double least) {
  const std::int64_t n = spec.elements();
  // Fixed blocks, joined in order: sums and the worst element are the same for any number of
  // threads.
  constexpr std::int64_t kBlock = 1 << 16;
  std::vector<Judgement> parts(static_cast<std::size_t>((n + kBlock - 1) / kBlock));
  dispatch(spec.dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    parallel_for(
        static_cast<std::int64_t>(parts.size()), 1, [&](std::int64_t begin, std::int64_t end) {
          for (std::int64_t block = begin; block < end; ++block)
            judge_part(static_cast<const T*>(got), expected, exact, least, block * kBlock,
                       std::min(n, (block + 1) * kBlock), parts[static_cast<std::size_t>(block)]);
        });
  });
  Judgement whole;
  whole.elements = n;
  for (const Judgement& part : parts) {
    whole.wrong += part.wrong;
    whole.nonzero += part.nonzero;
    whole.zero_accepted += part.zero_accepted;
    whole.unsound += part.unsound;
    whole.error_squared += part.error_squared;
    whole.want_squared += part.want_squared;
    for (std::size_t b = 0; b < whole.ulps.size(); ++b) whole.ulps[b] += part.ulps[b];
    if (part.utilisation > whole.utilisation) {
      whole.utilisation = part.utilisation;
      whole.worst = part.worst;
    }
  }
  return whole;
}

std::vector<std::int64_t> wrong_elements(const TensorSpec& spec, const void* got,
                                         const Expected& expected, bool exact, std::size_t limit) {
  std::vector<std::vector<std::int64_t>> parts(static_cast<std::size_t>(num_threads()));
  dispatch(spec.dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    const T* values = static_cast<const T*>(got);
    parallel_for(spec.elements(), 1 << 16, [&](std::int64_t begin, std::int64_t end, int part) {
      std::vector<std::int64_t>& wrong = parts[static_cast<std::size_t>(part)];
      for (std::int64_t i = begin; i < end && wrong.size() < limit; ++i) {
        const auto at = static_cast<std::size_t>(i);
        if (!inside<T>(expected.value[at], exact ? 0 : expected.bound[at], to_float(values[i])))
          wrong.push_back(i);
      }
    });
  });
  std::vector<std::int64_t> wrong;
  for (const std::vector<std::int64_t>& part : parts)
    wrong.insert(
        wrong.end(), part.begin(),
        part.begin() + static_cast<std::ptrdiff_t>(std::min(part.size(), limit - wrong.size())));
  return wrong;
}

bool zeros_would_pass(std::int64_t accepted, std::int64_t nonzero) {
  constexpr double kShare = 0.01, kChance = 1e-3;
  if (nonzero == 0) return false;
  const auto n = static_cast<double>(nonzero);
  const double share = static_cast<double>(accepted) / n;
  if (share <= kShare) return false;
  const double others = share < 1 ? (1 - share) * std::log((1 - share) / (1 - kShare)) : 0;
  return n * (share * std::log(share / kShare) + others) > -std::log(kChance);
}

double value_at(const TensorSpec& spec, const void* data, std::int64_t index) {
  return dispatch(spec.dtype, [&](auto type) -> double {
    return to_float(static_cast<const typename decltype(type)::type*>(data)[index]);
  });
}

Element element(const TensorSpec& spec, const void* got, const Expected& expected,
                std::int64_t index) {
  Element result;
  result.index = coordinates(spec, index);
  result.want = expected.value[static_cast<std::size_t>(index)];
  result.bound = expected.bound[static_cast<std::size_t>(index)];
  result.got = value_at(spec, got, index);
  result.utilisation = utilisation(result.want, result.bound, result.got, spec.dtype);
  return result;
}

std::optional<std::int64_t> first_difference(const TensorSpec& spec, const void* a, const void* b) {
  const auto* left = static_cast<const unsigned char*>(a);
  const auto* right = static_cast<const unsigned char*>(b);
  const std::int64_t bytes = spec.bytes();
  // The first byte that differs in each thread's part.
  std::vector<std::int64_t> firsts(static_cast<std::size_t>(num_threads()), bytes);
  parallel_for(bytes, 1 << 16, [&](std::int64_t begin, std::int64_t end, int part) {
    if (std::memcmp(left + begin, right + begin, static_cast<std::size_t>(end - begin)) == 0)
      return;
    firsts[static_cast<std::size_t>(part)] =
        std::mismatch(left + begin, left + end, right + begin).first - left;
  });
  const std::int64_t first = *std::min_element(firsts.begin(), firsts.end());
  if (first == bytes) return std::nullopt;
  return first / static_cast<std::int64_t>(size_of(spec.dtype));
}

}  // namespace assay
