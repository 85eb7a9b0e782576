// The parts of attnres_merge_bwd's contract beside its reference, each in a file of its own.
#pragma once

#include <vector>

#include "harness/core/op.h"
#include "reference/attnres_cotangents.h"
#include "reference/attnres_merge_fwd_contract.h"

namespace assay::attnres_merge_bwd_contract {

using attnres_merge_contract::folded_weights;
using attnres_merge_contract::Size;

inline constexpr attnres_inputs::Cotangents kCotangents{
    .values = "P", .tensors = 2, .output = "dH", .given = "dP", .first_stream = 20};

std::vector<Family> families();
Family exact_family();
std::vector<Relation> relations();
std::vector<Sensitivity> sensitivities(const Problem& problem, const Tensors& inputs,
                                       const Numerics& numerics);

}  // namespace assay::attnres_merge_bwd_contract
