// Attention Residuals, backward: what is computed, and how far from it a result may lie.
//
// Source: "Attention Residuals", Kimi Team, arXiv 2603.15031, phase 1 (reference/attnres_fwd.h),
// differentiated. With the loss Σ dO·O + Σ dLSE·LSE, c = w⊙g and r, l, α as in the forward:
//   In:  V (N,T,D), w (Q,D), optional g (Q,D), dO (Q,T,D), optional dLSE (Q,T), absent = 0
//   a_qn = ⟨dO_q, v_n⟩,  δ_q = Σ_n α_qn a_qn = ⟨dO_q, O_q⟩,  ds_qn = α_qn (a_qn - δ_q + dLSE_q)
//   Out: dV_n = Σ_q [α_qn dO_q + ds_qn (r_n c_q - l_qn r_n² v_n / D)]  (accumulate: + the given dV)
//        X_qd = Σ_nt ds_qnt r_nt V_ntd,  dw = g⊙X,  dg = w⊙X (only where there is a g)
//
// Bound of |computed - exact|, before the rounding to the output's dtype. Declared (Numerics): unit
// u, summation height h of sums over D (g = u·h), batch height H of sums over tokens and sources
// (products included), rescales R. Where a product of computed factors x̂ is bounded, what is taken
// is Π(|x| + Δx) - Π|x|, nothing is linearised. Below, η = 2⁻¹²⁵; A_n = r_n Σ_d |c v|, C_n = Σ_d
// |dO v|; one token and query, until sums over q, n, t say otherwise.
//
// Weights. E_n = E⁰_n + Δl_n bounds the error of l - m and its exponential as in the forward (Δl:
// what is due to l itself, e⁰: the rest). With f_n the relative error of α_n,
//   |f_n| <= F_n = e^{E_n} (Σ α e^E) / (1 - ω) - 1,   ω = (N + 8 + R + 4 ln N) u
// (ω: the normaliser's sum, a division, or the logarithm of exp(l - LSE)). The weights that are
// used need not add up to 1 if they are exponentials of l - LSE, whose errors are not those of the
// sum:
//   |Σ α f| <= θ = ω + 2 Σ α e⁰
// a. Its sum over D: Δa_n = g C_n + D η.
// δ. Of Σ α̂ â: since Σ α f a = Σ α f (a - δ) + δ Σ α f,
//   Δδ = Σ α F |a - δ| + θ|δ| + (g + (2N + 8 + 2R) u) Σ α (1 + F) C + D η
// where the last serves both forms: g the error of the â or of ⟨dO, Ô⟩, the rest the sum over n or
// the mix Ô (in fp32, as in the forward; 3N where it truncates). O rounded to 16 bits does not fit:
// attnres_bwd is not given O.
// ds. Three roundings of sums that are at most |a| + |δ| + |dLSE|, in any order:
//   Δz = (1 + 4u)(Δa + Δδ) + 4u (|a| + |δ| + |dLSE|),   z = a - δ + dLSE
//   Δs = α [(1 + F)(1 + 2u)(|z| + Δz) - |z|] + η (1 + |z| + Δz)       (α below 2⁻¹²⁶ may be 0)
// Coefficients, with ρ = g/2 + 4u the relative error of r:
//   of dO: α                Δ₁ = α F + η
//   of c:  k = ds r         Δ₂ = (|ds| + Δs) r (1 + ρ)(1 + 2u) - |ds| r + η (1 + r)
//   of v:  p = ds l r²/D    Δ₃ = [(|ds| + Δs)(|l| + Δl + 2u|l|)(1 + ρ)²(1 + 6u) - |ds l|] r²/D
//                                + η (1 + |ds|)(1 + |l|)(1 + r)²
// (the last: any product of some of the factors may underflow before the others come).
//
// dV. A sum of 3Q terms and the given dV, by a loop over the queries that adds three terms each; to
// sum coefficients first, or r c - l r² v/D, is shorter or the same. Products, the folding of c and
// a few merges make it χ = nu/(1 - nu), n = 3Q + 8 (6Q + 8 where the mix truncates):
//   b_nd = Σ_q { [Δ₁ + χ(α + Δ₁)] |dO_d| + [(|k| + Δ₂)(1 + 2u)(1 + χ) - |k|] |c_d|
//                + [(|p| + Δ₃)(1 + χ) - |p|] |v_d| } + χ|given| + 4Q η
//
// dw, dg. Token t gives X_qd an error of at most b_td = Σ_n Δ₂|V_ntd|; with m_td = Σ_n (|k| + Δ₂)
// |V_ntd|, what is added up. Any inputs:
//   b_d = Σ_t b_td + u H Σ_t m_td + T N η
// That sum is useless at real sizes: it grows with T, X with √T. But whatever a token holds, its
// ds, X and dV are odd in its cotangents (dO, dLSE), and so are the rounding errors of any kernel
// (rounding to nearest and cutting off both commute with the sign). Where a family's cotangents are
// as likely as their negatives, token by token (Family::random_signs: gaussian dO and dLSE, of
// whatever magnitudes, for any V, w, g), then given everything but one sign for each token, X is
// Σ_t ±x_t and its local error Σ_t ±e_t with |e_t| <= b_t: a Rademacher sum, for which (Hoeffding
// 1963)
//   P(|Σ ±e_t| > λ √Σ e_t²) <= 2 exp(-λ²/2)
// whatever the e_t are: no variance of the tokens is estimated, so neither few tokens nor a few
// that outweigh all others (heavy tails) make it less safe. With λ = 6 that is 3e-8 if each |e_t|
// is as large as the bound that is used. b_td itself would be too much for real sizes, ten times
// what a kernel ever does: within a token, errors of n roundings each are at their worst only if
// all u_k have the signs of their partial sums S_k. As independent (Higham and Mary 2019) they make
// u √(n/3) Σ|terms| at most in the rms, u √n/3 for a running sum, less where terms cancel. So b̃_td
// is b_td with min(n, 4 + √n) for each of the counts of roundings n: h, N + 8 + R + 4 ln N, 2N + 8
// + 2R (the 4 is for what a single function may be off). It is more than √3 times the rms of e_t,
// even if all its parts were in step; tests see e_t below b̃_t/10. Then 6 √Σ b̃² is 10 deviations of
// Σ ±e_t for many tokens, and of few e_t hardly one exceeds b̃_t: of 1e9 elements none is beyond,
// and where a single token decides, the minimum is its b_td. Accumulation errs by Σ u_k S_k over
// its additions, S_k a sum of some terms (parts of the tokens), |u_k| <= u. Each term takes part in
// at most H of them; given the magnitudes E S_k² <= Σ_{t in k} m_t², so Σ_k S_k² is H Σ m_t² on
// average and hardly ever 9 times that; and Σ u_k S_k, a martingale, exceeds 6 u √Σ S_k² with a
// probability of 3e-8 at most, 1e-16 where the u_k are uniform. Hence
//   b_d = min(Σ b_td, 6 √Σ b̃_td²) + u min(H Σ m_td, 18 √H √Σ m_td²) + T N η
// Units that cut off push partial sums towards 0: their errors add up. A kernel that has them, for
// whichever sum, declares a mix that truncates: then b̃ = b, and 12 H replaces 18 √H. Or, where few
// of its roundings cut off (2u each: counted twice), m besides n over D and M besides N in X,
// heights that cover them. What m cut off is mu at most and mu/2 on average, so that the rms of an
// error is u √(m²/4 + (n + m)/3): h >= n + m with 4 + √h >= √3 times that, H >= N + M with 18 √H >=
// 18 √N + 6 M.
// Not so for other families (sparse cotangents: of few tokens each must count; exact). Then
//   dw: |g| b_d + 2u |g X| + η,   dg: |w| b_d + 2u |w X| + η
//
// Roundings to 16 bits are declared, each with the unit u' and half the least subnormal η' of its
// dtype, as in the forward:
// Weights (c = w⊙g rounded once, for the logits and for dV): in E_n and Δl_n; in dV 1 + 2u becomes
//   (1 + 2u + u'), and (|k| + Δ₂)(1 + χ) η' is added.
// Probabilities (the coefficients α, k, p of rows of dO, c, V, each rounded once before it
// multiplies
//   a row, in dV and in X; ds is made from the unrounded): Δ_i += u'(|·| + Δ_i) + η'. As long as
//   they fit: ds r of tiny or huge rows leaves f16.
// Partials (X of some of the tokens and sources rounded once before they are added):
//   b_d += Σ_t (u' m_td + η').
//
// Sums over D that truncate declare twice the height. The bound holds where r, Σv², r²/D and the
// products stay within fp32's normal range, up to the terms with η. A NaN in a row of V makes dV of
// its token NaN for all sources, and all of dw and dg; dV of other tokens is unaffected.
#pragma once

#include <Eigen/Core>

#include "reference/attnres_fwd.h"

namespace assay {

// Factors of 1 in the formulas: what outputs do where one of them is wrong (tests and the bias
// test).
template <class S>
struct AttnResFactors {
  S logits = S(1);      // of l
  S eps = S(1);         // of eps
  S delta = S(1);       // of δ
  S projection = S(1);  // of l r² v / D
};

template <class S>
struct AttnResGradients {
  RowMatrix<S> values;  // dV (N, D)
  RowMatrix<S> x;       // (Q, D), this token's part of X
  RowMatrix<S> scores;  // ds (Q, N)
};

// The definition itself, for one token, in any scalar. v (N,D), c = w⊙g (Q,D), d_output (Q,D),
// d_lse (Q). The registered reference computes the same in blocks and with bounds; its test
// compares the two, and this with the derivative of attnres_fwd_token.
template <class S>
AttnResGradients<S> attnres_bwd_token(const RowMatrix<S>& v, const RowMatrix<S>& c,
                                      const RowMatrix<S>& d_output,
                                      const Eigen::Array<S, Eigen::Dynamic, 1>& d_lse, const S& eps,
                                      const AttnResFactors<S>& factors = {}) {
  using Array = Eigen::Array<S, Eigen::Dynamic, Eigen::Dynamic>;
  const S dim = static_cast<S>(static_cast<double>(v.cols()));
  const Eigen::Array<S, 1, Eigen::Dynamic> r =
      (v.rowwise().squaredNorm().transpose().array() / dim + eps * factors.eps).sqrt().inverse();
  const Array l = ((c * v.transpose()).array().rowwise() * r) * factors.logits;
  const Eigen::Array<S, Eigen::Dynamic, 1> m = l.rowwise().maxCoeff();
  const Array p = (l.colwise() - m).exp();
  const Eigen::Array<S, Eigen::Dynamic, 1> z = p.rowwise().sum();
  const Array alpha = p.colwise() / z;
  const Array a = (d_output * v.transpose()).array();
  const Eigen::Array<S, Eigen::Dynamic, 1> shift =
      d_lse - (alpha * a).rowwise().sum() * factors.delta;
  const Array ds = alpha * (a.colwise() + shift);
  const Array k = (ds.rowwise() * r) * factors.logits;
  const Eigen::Array<S, 1, Eigen::Dynamic> along =
      (ds * l).colwise().sum() * r.square() / dim * factors.projection;
  AttnResGradients<S> result;
  result.scores = ds.matrix();
  result.x = k.matrix() * v;
  result.values = alpha.matrix().transpose() * d_output + k.matrix().transpose() * c;
  result.values.array() -= v.array().colwise() * along.transpose();
  return result;
}

}  // namespace assay
