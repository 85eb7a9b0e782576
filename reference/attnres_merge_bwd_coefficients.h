// What multiplies rows of dH, c and P in one token, and how wrong that may be: the part of the
// bound that reference/attnres_merge_bwd.h derives before it comes to columns.
#pragma once

#include "harness/core/op.h"
#include "reference/attnres_gradients.h"

namespace assay::attnres_merge_bwd_contract {

// Of one token, over D.
struct TokenProducts {
  double square;                    // Σ P²
  double score, abs_score;          // Σ c P
  double gain, abs_gain;            // Σ dH P
  double other_gain, abs_of_other;  // Σ dH O1
  double l1, d_lse;
};

// dP = beta dH + k c - p P, dO1 = rest dH, X += k P. A rate is what a bound has for each unit of
// |dH|, |c| or |P|; floor is the rest of dP's.
struct Coefficients {
  double beta, rest, k, p;
  double beta_rate, rest_rate, k_rate, p_rate, floor;
  double x_rate, x_size;  // of X: the error of k, and |k| with it
  double d_l1, d_l1_bound;
};

Coefficients coefficients(
    const Numerics& numerics, double eps, double dim, const TokenProducts& products,
    attnres_gradients::Roundings roundings = attnres_gradients::Roundings::worst);

}  // namespace assay::attnres_merge_bwd_contract
