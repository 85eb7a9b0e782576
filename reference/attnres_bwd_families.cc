// The inputs of attnres_bwd: those of attnres_fwd, with cotangents. Compiled with -ffp-contract=off
// like families.cc: the same bits on every machine.
#include "reference/attnres_bwd_contract.h"
#include "reference/attnres_cotangents.h"

namespace assay::attnres_bwd_contract {

std::vector<Family> families() {
  // One source that has all the weight leaves ds = α (a - δ) = 0 ± its rounding, of which dw says
  // nothing: 7e-3 is left for each of the others. Weights stay above the least numbers of dV's
  // dtype. The coefficient ds l r² / D of a small row beside a large one stays below 2^128.
  const attnres_contract::Extremes extremes{
      .step = 3, .range = 60, .narrow_range = 10, .dominance = 5, .edge = 30};
  std::vector<Family> all = attnres_inputs::with_cotangents(
      attnres_contract::common_families(extremes),
      {.values = "V", .tensors = 1, .output = "dO", .given = "dV", .first_stream = kDO});
  all.push_back(exact_family());
  return all;
}

}  // namespace assay::attnres_bwd_contract
