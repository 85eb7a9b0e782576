// The interval test: got passes where round(want - bound) <= got <= round(want + bound), with
// `round` the rounding to the output's dtype. Rounding is monotone, so half-ulps, subnormals and
// overflow need no terms of their own. NaN must meet NaN.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "harness/core/expected.h"
#include "harness/core/judgement.h"
#include "harness/core/record.h"
#include "harness/core/tensor.h"

namespace assay {

// One element: 0 where round(want) == got, else the least t with round(want - t·bound) <= got <=
// round(want + t·bound); infinite where no t will do (NaN against a number, bound 0).
double utilisation(double want, double bound, double got, DType dtype);

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
Element element(const TensorSpec& spec, std::int64_t index, double want, double bound, double got);
Element element(const TensorSpec& spec, const void* got, const Expected& expected,
                std::int64_t index);

// The first element whose bits differ between two outputs of one spec; none: identical.
std::optional<std::int64_t> first_difference(const TensorSpec& spec, const void* a, const void* b);

double value_at(const TensorSpec& spec, const void* data, std::int64_t index);

}  // namespace assay
