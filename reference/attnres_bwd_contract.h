// The parts of attnres_bwd's contract beside its reference, each in a file of its own.
#pragma once

#include <vector>

#include "harness/core/op.h"
#include "reference/attnres_fwd_contract.h"

namespace assay::attnres_bwd_contract {

using attnres_contract::Size;

// Streams of random numbers beside those of attnres_fwd.
inline constexpr std::uint64_t kDO = 16, kDLse = 17, kGiven = 18, kDPlace = 19;

std::vector<Family> families();
Family exact_family();
std::vector<Relation> relations();
std::vector<Sensitivity> sensitivities(const Problem& problem, const Tensors& inputs,
                                       const Numerics& numerics);

}  // namespace assay::attnres_bwd_contract
