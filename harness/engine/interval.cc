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

template <class T>
void judge_part(const T* got, const Expected& expected, bool exact, std::int64_t begin,
                std::int64_t end, Judgement& part) {
  for (std::int64_t i = begin; i < end; ++i) {
    const double want = expected.value[static_cast<std::size_t>(i)];
    const double bound = exact ? 0 : expected.bound[static_cast<std::size_t>(i)];
    const double value = to_float(got[i]);
    const double error = value - want;
    if (want != 0) {
      ++part.nonzero;
      if (inside<T>(want, bound, 0)) ++part.zero_accepted;
    }
    if (std::isfinite(error)) {
      part.error_squared += error * error;
      part.want_squared += want * want;
    }
    const bool right = inside<T>(want, bound, value);
    // Exact for most elements of a 16-bit output, so the rest can afford the division.
    const bool is_exact = right && rounded<T>(want) == value;
    ++part.ulps[is_exact ? 0 : ulp_bucket<T>(want, value)];
    const double used = is_exact ? 0 : utilisation_of<T>(want, bound, value);
    const double ranked = right ? std::min(used, 1.0) : std::max(used, std::nextafter(1.0, 2.0));
    if (!right) ++part.wrong;
    if (ranked > part.utilisation) {
      part.utilisation = ranked;
      part.worst = i;
    }
  }
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

Judgement judge(const TensorSpec& spec, const void* got, const Expected& expected, bool exact) {
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
            judge_part(static_cast<const T*>(got), expected, exact, block * kBlock,
                       std::min(n, (block + 1) * kBlock), parts[static_cast<std::size_t>(block)]);
        });
  });
  Judgement whole;
  whole.elements = n;
  for (const Judgement& part : parts) {
    whole.wrong += part.wrong;
    whole.nonzero += part.nonzero;
    whole.zero_accepted += part.zero_accepted;
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
  std::vector<std::int64_t> wrong;
  dispatch(spec.dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    const T* values = static_cast<const T*>(got);
    for (std::int64_t i = 0; i < spec.elements() && wrong.size() < limit; ++i) {
      const auto at = static_cast<std::size_t>(i);
      if (!inside<T>(expected.value[at], exact ? 0 : expected.bound[at], to_float(values[i])))
        wrong.push_back(i);
    }
  });
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
  const auto bytes = static_cast<std::size_t>(spec.bytes());
  if (std::memcmp(left, right, bytes) == 0) return std::nullopt;
  std::size_t at = 0;
  while (left[at] == right[at]) ++at;
  return static_cast<std::int64_t>(at / size_of(spec.dtype));
}

}  // namespace assay
