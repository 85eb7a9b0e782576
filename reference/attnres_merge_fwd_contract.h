// The parts of attnres_merge_fwd's contract beside its reference, each in a file of its own.
#pragma once

#include <vector>

#include "harness/core/op.h"
#include "reference/attnres_inputs.h"

namespace assay::attnres_merge_contract {

struct Size {
  std::int64_t tokens, dim;

  explicit Size(const Problem& p) : tokens(p.dim("T")), dim(p.dim("D")) {}
};

// a + b, rounded to odd: cut off, with the last bit set if anything was lost. It then rounds to any
// type of at most 51 bits as the sum itself does.
double add_to_odd(double a, double b);

// c = w⊙g in fp64.
std::vector<double> folded_weights(const Tensors& inputs);

// A row of P as the rest is computed from: P, or with U their sum, rounded to P's dtype. `sum`: the
// sum itself, by add_to_odd; without U it is left alone. Both (D).
void load_row(const Tensors& inputs, std::int64_t token, std::int64_t dim, double* row,
              double* sum);

// How far apart the families push values and weights.
struct Extremes {
  int edge = attnres_inputs::kEdge;  // largest and least values are 2^±edge, where they aren't f16
  // |l - L1| in the tokens of `far` of which one side alone counts: from here to `reach` more.
  double far = 15, reach = 100;
};

// Those that are nothing but a way to fill P, w, g, O1, L1 and U; attnres_merge_bwd has them, too.
std::vector<Family> common_families(const Extremes& extremes);
std::vector<Family> families();
Family exact_family();
std::vector<Relation> relations();
std::vector<Sensitivity> sensitivities(const Problem& problem, const Tensors& inputs,
                                       const Numerics& numerics);

}  // namespace assay::attnres_merge_contract
