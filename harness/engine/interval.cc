#include "harness/engine/interval.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <tuple>
#include <vector>

#include "harness/core/judge_element.h"
#include "harness/core/parallel.h"
#include "harness/engine/judge_chunk.h"

namespace assay {
namespace {

constexpr int kLastBucket = std::tuple_size_v<UlpHistogram> - 1;

// What is left to ask of an element: the sums over all of them are the chunk's.
template <class T>
void judge_element(double want, double bound, double value, std::int64_t index, Judgement& part) {
  const judging::Element found = judging::judge<T>(want, bound, value, kLastBucket);
  ++part.ulps[static_cast<std::size_t>(found.bucket)];
  if (!found.right) ++part.wrong;
  if (found.ranked > part.utilisation) {
    part.utilisation = found.ranked;
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
  if (judged.all_exact) {
    part.ulps[0] += count;
    return;
  }
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t distance = judged.distance[i];
    if (distance == 0) {
      ++part.ulps[0];
    } else if (distance > 0) {
      const int bucket = std::bit_width(static_cast<std::uint64_t>(distance));
      ++part.ulps[static_cast<std::size_t>(std::min(kLastBucket, bucket))];
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
  part.elements = end - begin;
  part.error_squared = total(sums.error_squared);
  part.want_squared = total(sums.want_squared);
  part.nonzero = sums.nonzero;
  part.zero_accepted = sums.zero_accepted;
  part.unsound = sums.unsound;
}

}  // namespace

double utilisation(double want, double bound, double got, DType dtype) {
  return dispatch(dtype, [&](auto type) {
    return judging::utilisation<typename decltype(type)::type>(want, bound, got);
  });
}

Judgement judge(const TensorSpec& spec, const void* got, const Expected& expected, bool exact,
                double least) {
  const std::int64_t n = spec.elements();
  std::vector<Judgement> parts(static_cast<std::size_t>((n + kJudgedPart - 1) / kJudgedPart));
  dispatch(spec.dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    parallel_for(static_cast<std::int64_t>(parts.size()), 1,
                 [&](std::int64_t begin, std::int64_t end) {
                   for (std::int64_t part = begin; part < end; ++part)
                     judge_part(static_cast<const T*>(got), expected, exact, least,
                                part * kJudgedPart, std::min(n, (part + 1) * kJudgedPart),
                                parts[static_cast<std::size_t>(part)]);
                 });
  });
  return join(parts);
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
        if (!judging::inside<T>(expected.value[at], exact ? 0 : expected.bound[at],
                                to_float(values[i])))
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
  const auto at = static_cast<std::size_t>(index);
  return element(spec, index, expected.value[at], expected.bound[at], value_at(spec, got, index));
}

Element element(const TensorSpec& spec, std::int64_t index, double want, double bound, double got) {
  Element result;
  result.index = coordinates(spec, index);
  result.want = want;
  result.bound = bound;
  result.got = got;
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
