// Attention Residuals, merge: what is computed, and how far from it a result may lie.
//
// Source: "Attention Residuals", Kimi Team, arXiv 2603.15031, phase 2: the running sum P of the
// current block joins what phase 1 (attnres_fwd) made of the blocks before it.
//   In:  P (T,D), w (D), optional g (D), absent = ones; O1 (T,D), L1 (T), finite;  c = w⊙g
//        optional U (T,D), the output of the previous layer: P ← P + U before all else
//   Out: r_t = 1/√(mean_d P² + eps),  l_t = r_t Σ_d c_d P_td,  β_t = σ(l_t - L1_t)
//        H (T,D) = O1 + β (P - O1),  LSE (T) = log(e^L1 + e^l)  (natural logarithm)
//
// The updated P is rounded once, to nearest with ties to even, to P's dtype; what is stored is what
// the rest is computed from. Its bits are determined: bound 0. A kernel may add in fp32 and round
// that: if U has no more bits than P, that is one rounding. (With p bits a sum that is first
// rounded to at least 2p + 2 bits rounds to the same (Figueroa 1995): bf16 18, f16 24. An f16
// result below 2^-14 comes from an fp32 sum that is exact wherever it is near a midpoint, since U
// and P are multiples of 2^-24, or U is a bf16, whose 8 bits reach no farther. f32 is rounded by
// the addition itself.) With more bits in U, fp32 may round to a midpoint that the sum is not on:
// such kernels round the addition to odd. The reference does, in fp64.
//
// Bound of |computed - exact| for one token, before the rounding to the output's dtype. u, h and
// g = u·h are those of attnres_fwd.h, and so is the error of the logit, but that two numbers alone
// are compared. With A = r Σ|c_d P_d| and x = l - L1 the odds e^x are computed within a factor
// e^±E, where E is the sum of
//   g A                       the score's sum (products and the folding of w⊙g are in h)
//   |l| (g/2 + 4u)            r: half of ΣP²'s relative error; mean, eps, rsqrt (2 ulps)
//   2u (|l| + |L1| + |x|)     l = r·sum, scaling by log₂e before or after the subtraction
//   8u                        2 ulps of exp, with its constant (2⁻²¹ for fp32)
//
// β. With the odds off by e^δ, β' - β = β(1-β)(e^δ - 1) / (1 - β + β e^δ). Without linearisation
// the largest |β' - β| over |δ| <= E is
//   κ = β(1-β) max((e^E - 1) / (1 + β(e^E - 1)), (1 - e^-E) / (1 - β(1 - e^-E)))
//
// H. b_d is the sum, with Δ = |P_d - O1_d| and M = (1-β)|O1_d| + β|P_d|, of
//   κ Δ                       β
//   8u (β Δ + M)              the mix
//   η (2 + Δ + |P| + |O1|),  η = 2⁻¹²⁵        underflow, flushed or not
// The mix, in any of three forms. O1 + β(P - O1): the difference, β itself (1 + e^-x and a division
// of 2 ulps: 5u; or a reciprocal and a product, both rounded to nearest: 3u) and the product are
// relative to βΔ, 7u; the addition to |H| <= M, u.
// (1-β)O1 + βP: β's 5u on βΔ; the difference from 1, two products and the sum on M, 3u. Two
// weights, each divided by the sum: 5u, product and sum, 7u on M. Near β = 1 the first form leaves
// an error of u|O1| where O1 itself has hardly any weight, hence βΔ; 8 leaves room for products of
// errors. A β that errs by u absolutely, as σ(x) = (1 + tanh(x/2))/2 does, is not among them: where
// β is tiny and P large it leaves the bound. Underflow: β below 2⁻¹²⁶ may become 0 (Δ, or |P| and
// |O1|), and so may the difference, a product, or the result.
//
// LSE, with L1 scaled by log₂e and back: log(1 - β + β e^δ + …) <= log1p of
//   β (e^E - 1) + (1 - β)(e^{4u|L1|} - 1)
// and 6u + u|LSE| for the sum, the logarithm and the last addition.
//
// Roundings to 16 bits are declared as in attnres_fwd.h, with u' and η' of the dtype.
// Weights (c rounded once):  E += (1 + g) u' A + η' r √(D ΣP²)
// Probabilities (β, or both weights, each rounded once): ρ_P = u'(β + κ) + η' and
// ρ_O = u'(1 - β + κ) + η'. β alone moves H by ρ_P Δ; two weights by ρ_P|P| + ρ_O|O1|; if their sum
// is that of the rounded ones, with b as above, by ((ρ_P(1-β) + ρ_O β)Δ + b ρ)/(1 - ρ), ρ = ρ_P +
// ρ_O:
//   b += the largest of the three,  LSE's bound += -log(1 - ρ)
// There are no partials.
//
// A NaN or Inf in a row of P, or in L1, makes H and LSE of its token NaN, and so does a zero row
// with eps = 0; one in O1 its element of H alone. Other tokens are unaffected.
#pragma once

#include <Eigen/Core>

namespace assay {

template <class S>
struct AttnResMergeToken {
  Eigen::Array<S, Eigen::Dynamic, 1> output;  // H (D)
  S lse, beta, logit;
};

// The definition itself, for one token, in any scalar: double, or dual numbers to differentiate it.
// p, o1 and c = w⊙g (D); p has been updated.
template <class S>
AttnResMergeToken<S> attnres_merge_fwd_token(const Eigen::Array<S, Eigen::Dynamic, 1>& p,
                                             const Eigen::Array<S, Eigen::Dynamic, 1>& c,
                                             const Eigen::Array<S, Eigen::Dynamic, 1>& o1,
                                             const S& l1, const S& eps) {
  using std::exp, std::log, std::sqrt;
  const S dim = static_cast<S>(static_cast<double>(p.size()));
  const S l = (c * p).sum() / sqrt(p.square().sum() / dim + eps);
  const S m = l > l1 ? l : l1, z = exp(l - m) + exp(l1 - m), beta = exp(l - m) / z;
  return {o1 + beta * (p - o1), m + log(z), beta, l};
}

}  // namespace assay
