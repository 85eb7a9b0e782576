// What lies between the sums over D and the gradients: for one query and token, the softmax over
// depth and its backward, N numbers each, by one warp.
#pragma once

#include "kernels/attnres_bwd/arguments.h"
#include "kernels/device/block.h"
#include "kernels/device/math.h"
#include "kernels/device/warp.h"

namespace assay::ASSAY_TWIN::attnres_bwd {

// Of one row of V: Σ c v, Σ dO v, Σ v².
struct Sums {
  float score, gain, square;
};

// What row n and query q contribute: dV_n += alpha dO_q + key c_q - radial v_n, X_q += key v_n.
struct alignas(16) Coefficients {
  float alpha;   // α
  float key;     // ds r
  float radial;  // ds l r² / D
  float weight;  // α before it is normalised
};

// Fills coefficients[n], n = 0 … sources - 1, from sums(n). Lane i of the warp has rows i, i + 32,
// …, and nobody else need see them before a barrier. A NaN logit makes all of them NaN.
template <class SumsOf>
ASSAY_DEVICE void softmax_backward(const Arguments& a, float d_lse, const SumsOf& sums,
                                   Coefficients* coefficients) {
  const int lane = lane_index();
  const float dim = static_cast<float>(a.dim);
  float max = minus_infinity();
  for (int n = lane; n < a.sources; n += kWarpSize) {
    const Sums s = sums(n);
    const float r = reciprocal_sqrt(s.square / dim + a.eps);
    const float l = s.score * r;
    coefficients[n] = {l, r, s.gain, 0};  // for now
    max = maximum(max, l);
  }
  max = warp_max(max);
  float total = 0, gain = 0;
  for (int n = lane; n < a.sources; n += kWarpSize) {
    const float p = exp2_approx((coefficients[n].alpha - max) * kLog2E);
    coefficients[n].weight = p;
    total += p;
    gain += p * coefficients[n].radial;
  }
  const float inverse = 1.0f / warp_sum(total);
  const float delta = warp_sum(gain) * inverse;  // Σ α a = ⟨dO, O⟩
  for (int n = lane; n < a.sources; n += kWarpSize) {
    const auto [l, r, own_gain, p] = coefficients[n];
    const float alpha = p * inverse;
    const float key = alpha * (own_gain - delta + d_lse) * r;
    coefficients[n] = {alpha, key, key * l * r / dim, 0};
  }
}

}  // namespace assay::ASSAY_TWIN::attnres_bwd
