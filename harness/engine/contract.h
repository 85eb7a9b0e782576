// Whether a contract keeps its own word: what can be checked of a reference without running
// anything.
#pragma once

#include <string>

#include "harness/core/op.h"

namespace assay {

// A bound cannot be less than this share of its value: one rounding of the declared accumulator.
double least_relative_bound(const Numerics& numerics);

// The first bound that can't be right: NaN, negative, or smaller than one rounding of the declared
// accumulator, where the value is a number; empty: none. "O[0, 3, 17]: …" with the output's spec,
// else the flat index. `exact`: the output is declared so, and its bounds must be 0. Not for
// outputs that a single family demands exactly.
std::string contract_error(const Expected& expected, const Numerics& numerics, bool exact,
                           const TensorSpec* spec = nullptr);

// What the contract says, as 16 hex digits: formula, dims, tensors, options and families. Numbers
// of records with other ids are not about the same thing.
std::string contract_id(const Op& op);

}  // namespace assay
