// The interval test: got passes where round(want - bound) <= got <= round(want + bound), with
// `round` the rounding to the output's dtype. Rounding is monotone, so half-ulps, subnormals and
// overflow need no terms of their own. NaN must meet NaN.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "harness/core/op.h"
#include "harness/core/record.h"
#include "harness/core/tensor.h"

namespace assay {

// One element: 0 where round(want) == got, else the least t with round(want - t·bound) <= got <=
// round(want + t·bound); infinite where no t will do (NaN against a number, bound 0).
double utilisation(double want, double bound, double got, DType dtype);

// Distances from the rounded reference in units in the last place: bucket 0 counts exact elements,
// bucket b those at 2^(b-1) to 2^b - 1, the last one all beyond, NaN and Inf too.
using UlpHistogram = std::array<std::int64_t, 16>;

// What judging one output found.
struct Judgement {
  std::int64_t elements = 0;
  std::int64_t wrong = 0;
  std::int64_t nonzero = 0;        // elements whose reference is not exactly zero …
  std::int64_t zero_accepted = 0;  // … and those of them for which zero would have passed
  std::int64_t unsound = 0;        // bounds that are negative, NaN or smaller than they can be
  double utilisation = 0;          // the largest
  double error_squared = 0;        // Σ (got - want)² and Σ want² over the finite elements
  double want_squared = 0;
  std::int64_t worst = -1;  // flat index: the first with the largest utilisation, a wrong one if
                            // there is any; -1: all exact

  UlpHistogram ulps{};

  double error_rms() const;
  double error_normwise() const;
};

// Whether zeros would pass for more than 1 % of an output, so that passing means nothing.
// `accepted` of `nonzero` elements are a sample: of few elements one alone is over 1 % by chance.
// So the excess must be one that chance gives with a probability under 1/1000, by the
// Chernoff-Hoeffding bound exp(-n KL(share, 1 %)); from 10^4 elements on that hardly matters.
bool zeros_would_pass(std::int64_t accepted, std::int64_t nonzero);

// Judges `got`, in host memory and laid out by `spec`, against `expected`. Parallel; the result
// does not depend on threads. `exact`: without the bound, so that only round(want) passes.
// `least`: the share of a finite reference that its bound must not be less than.
Judgement judge(const TensorSpec& spec, const void* got, const Expected& expected,
                bool exact = false, double least = 0);

// The flat indices of the elements outside of their intervals, in order; at most `limit`.
std::vector<std::int64_t> wrong_elements(const TensorSpec& spec, const void* got,
                                         const Expected& expected, bool exact, std::size_t limit);

// The element at a flat index, as reports show it.
Element element(const TensorSpec& spec, const void* got, const Expected& expected,
                std::int64_t index);

// The first element whose bits differ between two outputs of one spec; none: identical.
std::optional<std::int64_t> first_difference(const TensorSpec& spec, const void* a, const void* b);

double value_at(const TensorSpec& spec, const void* data, std::int64_t index);

}  // namespace assay
