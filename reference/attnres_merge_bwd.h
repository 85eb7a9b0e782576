// Attention Residuals, merge, backward: what is computed, and how far from it a result may lie.
//
// Source: "Attention Residuals", Kimi Team, arXiv 2603.15031, phase 2 (reference/
// attnres_merge_fwd.h), differentiated. With the loss Σ dH·H + Σ dLSE·LSE, c = w⊙g and r, l, β as
// in the forward:
//   In:  P (T,D), as the forward left it where it updated it; w (D), optional g (D), O1 (T,D),
//        L1 (T), dH (T,D), optional dLSE (T), absent = 0
//   z_t = ⟨dH, P - O1⟩,  s = β (1-β) z,  dl = s + β dLSE
//   Out: dP (T,D) = β dH + dl (r c - l r² P / D)  (accumulate: + the given dP; with an update, it
//        is also the gradient of U)
//        dO1 (T,D) = (1-β) dH,  dL1 (T) = -s + (1-β) dLSE
//        X_d = Σ_t dl r P,  dw = g⊙X,  dg = w⊙X (only where there is a g)
//
// Bound of |computed - exact| for one token, before the rounding to the output's dtype. u, h, g =
// u·h, A, E and κ are those of attnres_merge_fwd.h, H, χ, ρ and η those of attnres_bwd.h. As there,
// nothing is linearised. ȳ = 1 - β; C = Σ_d |dH P| + |dH O1|.
//
// Weights. Kernels have them from the odds, as 1 / (1 + e^-x) and 1 minus that, as exp(l - LSE) or
// as the backward of a logaddexp. Errors of l and of exp are κ for both. A sum, a division of 2
// ulps, or the logarithm and its exponential, in numbers up to |l| + |L1|, are within
//   ω = 12u + 2u (|l| + |L1|)
// relative to β; a difference from 1 makes that absolute for ȳ:
//   Δβ = κ + ω β,   Δȳ = κ + ω
// The other way round, a β that errs by ω absolutely, is not among them, as in the forward.
//
// s, in any of three forms. β ȳ times a sum of products with differences P - O1, or times the
// difference of two sums a = ⟨dH, P⟩ and o = ⟨dH, O1⟩: that errs by Δz = (g + 3u) C + 2D η. Or as
// softmaxes are differentiated, β (a - δ), δ = β a + ȳ o: of the same â and ô that is ȳ (â - ô),
// but for weights that do not add up to 1, by 2ω, and a few roundings of |â| and |ô|. (δ = ⟨dH, H⟩
// is not among them: a further sum over D, whose error ȳ does not make small.) With y = ȳ z all are
// β y,
//   Δy = Δȳ (|z| + Δz) + ȳ Δz + (2ω + 8u)(|a| + |o| + Δz)
// dl and dL1 (with s, or as dLSE - dl):
//   Δs  = (β + Δβ) Δy + Δβ |y| + η (1 + C)
//   Δdl = Δs + Δβ |dLSE| + 4u (β + Δβ)(|y| + Δy + |dLSE|) + η (1 + |dLSE|)
//   dL1: Δdl + Δȳ |dLSE| + 2u (|s| + |dLSE|)
// with Δs where Δβ multiplies y and dLSE apart, since they may cancel.
//
// dO1: ȳ once rounded and a product, dH - β dH:  b_d = [Δȳ + 3u (1 + Δȳ) ȳ'] |dH_d| + η (1 + |dH|),
// where ȳ' = ȳ + Δȳ.
//
// dP and X are those of attnres_bwd for one source and query, with β for α, dl for ds, and Δ₁ = Δβ
// + η. So are their coefficients k = dl r, p = dl l r² / D, the bound of dw and dg, rigorous and,
// where signs are random, statistical (dl, too, is odd in the cotangents); there, the counts of
// roundings n of which min(n, 4 + √n) is taken are h alone.
//
// Declared roundings. Weights: as in attnres_bwd, and in E as in the forward. Probabilities (β, ȳ,
// k, p, each rounded once before it multiplies a row; dl is made from unrounded ones): Δ += u'(|·|
// + Δ) + η'. Partials: as in attnres_bwd.
//
// A NaN or Inf in a row of P, or in L1, makes all of its token NaN; one in O1 or dH the token's dP
// and dL1 (and one in dH its element of dO1); both all of dw and dg. Other tokens are unaffected.
#pragma once

#include <Eigen/Core>

namespace assay {

// Factors of 1 in the formulas: what outputs do where one of them is wrong (tests and the bias
// test).
template <class S>
struct AttnResMergeFactors {
  S logit = S(1);       // of l
  S eps = S(1);         // of eps
  S other = S(1);       // of L1
  S gain = S(1);        // of z
  S projection = S(1);  // of l r² P / D
};

template <class S>
struct AttnResMergeGradients {
  using Array = Eigen::Array<S, Eigen::Dynamic, 1>;
  Array p, o1, x;  // dP, dO1, this token's part of X: (D)
  S l1, score;     // dL1, dl
};

// The definition itself, for one token, in any scalar. p, c = w⊙g, o1 and d_h (D). The registered
// reference computes the same in blocks and with bounds; its test compares the two, and this with
// the derivative of attnres_merge_fwd_token.
template <class S>
AttnResMergeGradients<S> attnres_merge_bwd_token(const Eigen::Array<S, Eigen::Dynamic, 1>& p,
                                                 const Eigen::Array<S, Eigen::Dynamic, 1>& c,
                                                 const Eigen::Array<S, Eigen::Dynamic, 1>& o1,
                                                 const S& l1,
                                                 const Eigen::Array<S, Eigen::Dynamic, 1>& d_h,
                                                 const S& d_lse, const S& eps,
                                                 const AttnResMergeFactors<S>& factors = {}) {
  using std::exp, std::sqrt;
  const S dim = static_cast<S>(static_cast<double>(p.size()));
  const S r = S(1) / sqrt(p.square().sum() / dim + eps * factors.eps);
  const S l = (c * p).sum() * r * factors.logit, x = l - l1 * factors.other;
  // Each of the two weights without cancellation.
  const S odds = exp(x > S(0) ? -x : x), larger = S(1) / (S(1) + odds), smaller = odds * larger;
  const S beta = x > S(0) ? larger : smaller, rest = x > S(0) ? smaller : larger;
  const S s = beta * rest * (d_h * (p - o1)).sum() * factors.gain;
  const S d_l = s + beta * d_lse, key = d_l * r * factors.logit;
  AttnResMergeGradients<S> result;
  result.score = d_l;
  result.l1 = (rest * d_lse - s) * factors.other;
  result.o1 = rest * d_h;
  result.x = key * p;
  result.p = beta * d_h + key * c - (d_l * l * r * r / dim * factors.projection) * p;
  return result;
}

}  // namespace assay
