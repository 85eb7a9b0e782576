// The parts of attnres_fwd's contract beside its reference, each in a file of its own.
#pragma once

#include <vector>

#include "harness/core/op.h"
#include "reference/attnres_inputs.h"

namespace assay::attnres_contract {

struct Size {
  std::int64_t sources, queries, tokens, dim;

  explicit Size(const Problem& p)
      : sources(p.dim("N")), queries(p.dim("Q")), tokens(p.dim("T")), dim(p.dim("D")) {}
};

// How far apart the families push logits and values.
struct Extremes {
  double step = 8;                   // between the logits of neighbours that rise or fall
  double range = 240;                // all of those, at most
  double narrow_range = range;       // the same where V is f16
  double dominance = 12;             // logit of the source that has nearly all the weight
  int edge = attnres_inputs::kEdge;  // largest and least values are 2^±edge, where V isn't f16
};

// Those that are nothing but a way to fill V, w and g; attnres_bwd has them, too.
std::vector<Family> common_families(const Extremes& extremes);
std::vector<Family> families();
Family exact_family();
std::vector<Relation> relations();
std::vector<Sensitivity> sensitivities(const Problem& problem, const Tensors& inputs,
                                       const Numerics& numerics);

}  // namespace assay::attnres_contract
