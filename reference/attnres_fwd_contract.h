// The parts of attnres_fwd's contract beside its reference, each in a file of its own.
#pragma once

#include <vector>

#include "harness/core/op.h"

namespace assay::attnres_contract {

struct Size {
  std::int64_t sources, queries, tokens, dim;

  explicit Size(const Problem& p)
      : sources(p.dim("N")), queries(p.dim("Q")), tokens(p.dim("T")), dim(p.dim("D")) {}
};

std::vector<Family> families();
Family exact_family();
std::vector<Relation> relations();
std::vector<Sensitivity> sensitivities(const Problem& problem, const Tensors& inputs,
                                       const Numerics& numerics);

}  // namespace assay::attnres_contract
