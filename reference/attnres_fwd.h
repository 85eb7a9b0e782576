// Attention Residuals, forward: what is computed, and how far from it a result may lie.
//
// Source: "Attention Residuals", Kimi Team, arXiv 2603.15031, phase 1; Q = 1 is the single-query
// form.
//   In:  V (N,T,D), w (Q,D), optional g (Q,D), absent = ones;  c = w⊙g
//   Out: r_nt = 1/√(mean_d V² + eps),  l_qnt = r_nt Σ_d c_qd V_ntd,  α = softmax_n(l)
//        O (Q,T,D) = Σ_n α_qnt V_ntd,  LSE (Q,T) = log Σ_n exp l_qnt  (natural logarithm)
//
// Bound of |computed - exact| for one token and query, before the rounding to the output's dtype.
// The kernel declares (Numerics) the unit u of its accumulator (2^-24 for fp32), the summation
// height h, and R, the number of times that what has been accumulated is rescaled. g = u·h.
//
// Logits. A sum over D whose terms pass through h roundings errs by g Σ|c v|. With
// A_n = r_n Σ_d |c_d v_nd| and m = max_n l_n the exact weight p_n = exp(l_n - m) is computed within
// a factor e^±E_n, where E_n is the sum of
//   g A_n                              the score's sum (products and the folding of w⊙g are in h)
//   |l_n| (g/2 + 4u)                   r: half of Σv²'s relative error; mean, eps, rsqrt (2 ulps)
//   2u (|l_n| + |m| + |l_n - m|)       l = r·sum, scaling by log₂e, subtraction of m
//   8u                                 2 ulps of exp, with its constant (2⁻²¹ for fp32)
//   4u R                               the same for each factor exp(m_old - m_new) (2⁻²² each)
//
// Output. With δ_n the logarithm of that factor, o' - o = Σ α e^δ (v - o) / Σ α e^δ, which is
// Σ α (e^δ - 1)(v - o) / Σ α e^δ because Σ α (v - o) = 0. Without any linearisation, b_d is the sum
//   Σ_n α_n (e^{E_n} - 1) |v_nd - o_d| / Σ_n α_n e^{-E_n}      the weights
//   (2N + 8 + 2R) u Σ_n α_n |v_nd|                             the mix (3N where it truncates)
//   η (N + Σ_n |v_nd|),  η = 2⁻¹²⁵                             underflow, flushed or not
// The mix: numerator and normaliser are each a chain of at most N roundings (a product and N - 1
// additions; N - 1 additions), each longer by R where rescaling rounds every element by itself; 8u
// serve two divisions of 2 ulps, since parts that are merged are normalised twice. Counting one
// chain only, (N + 6) u, is not enough: with equal V the first term vanishes, and a correct kernel
// that rescales could leave the rest. Underflow: a weight below 2⁻¹²⁶ may become 0 (Σ|v|), and so
// may a product, a subnormal v or the result (N).
//
// LSE. Since log Σ α e^δ <= log1p(Σ α (e^E - 1)), and for its sum, logarithm and last addition:
//   log1p(Σ_n α_n (e^{E_n} - 1)) + (N + 4 + R) u + u |LSE|
//
// Roundings to 16 bits are declared, each with the unit u' and half the least subnormal η' of its
// dtype (f16: 2⁻¹¹, 2⁻²⁵; bf16: 2⁻⁸, 2⁻¹³⁴; below that what is flushed is within η). f32: the terms
// are zero.
// Weights (c = w⊙g rounded once): Σ |c' - c||v| <= u' Σ|c v| + η' Σ|v|, and Σ|v| <= √(D Σv²), so
//   E_n += (1 + g) u' A_n + η' r_n √(D Σ_d v_nd²)
// Probabilities (each weight of the mix rounded once, before or after it is normalised). The weight
// that the kernel has is at most λ_n = α_n e^{E_n} / Σ α e^{-E}; rounding moves it by at most
// ρ_n = u' λ_n + η' (the maximum has p = 1, so η' is not enlarged by dividing by Σ p >= 1). Where
// the normaliser is the sum of the unrounded weights, O moves by Σ ρ|v|. Where it is that of the
// rounded ones, the weights still add up to 1, so with b as above O moves by Σ ρ|v - o'| / (1 -
// Σρ), where |v - o'| <= |v - o| + b. Which of the two a kernel does is not declared:
//   b += max(Σ_n ρ_n |v_nd|, (Σ_n ρ_n |v_nd - o_d| + b Σρ) / (1 - Σρ))
//   LSE's bound += -log(1 - Σρ)
// Partials (O of parts of the sources rounded once, normalised or not, before they are merged;
// their maxima and sums stay fp32): |O_part| <= Σ over its sources, and the merge's weights add up
// to at most 1 on each element's η':
//   b += Σ_n u' (λ_n + ρ_n) |v_nd| + η'
//
// Sums that truncate (as tensor cores do) err by 2u per addition: such kernels declare twice the
// height. A kernel that rounds to 16 bits what it has not declared, or does not split c into enough
// terms, leaves this bound. The bound holds where r, Σv² and the products
// stay within fp32's normal range (|v|² within fp32).
//
// A NaN or Inf in a row of V makes all outputs of its token NaN; so does a zero row with eps = 0.
// Others are unaffected.
#pragma once

#include <Eigen/Core>

namespace assay {

template <class S>
using RowMatrix = Eigen::Matrix<S, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

template <class S>
struct AttnResToken {
  RowMatrix<S> output;                                      // (Q, D)
  Eigen::Array<S, Eigen::Dynamic, 1> lse;                   // (Q)
  Eigen::Array<S, Eigen::Dynamic, Eigen::Dynamic> weights;  // α (Q, N)
};

// The definition itself, for one token, in any scalar: double, or dual numbers to differentiate it.
// v (N,D), c = w⊙g (Q,D). The registered reference computes the same in blocks and with bounds; its
// test compares the two.
template <class S>
AttnResToken<S> attnres_fwd_token(const RowMatrix<S>& v, const RowMatrix<S>& c, const S& eps) {
  using Array = Eigen::Array<S, Eigen::Dynamic, Eigen::Dynamic>;
  const S dim = static_cast<S>(static_cast<double>(v.cols()));
  const Eigen::Array<S, 1, Eigen::Dynamic> r =
      (v.rowwise().squaredNorm().transpose().array() / dim + eps).sqrt().inverse();
  const Array l = (c * v.transpose()).array().rowwise() * r;
  const Eigen::Array<S, Eigen::Dynamic, 1> m = l.rowwise().maxCoeff();
  const Array p = (l.colwise() - m).exp();
  const Eigen::Array<S, Eigen::Dynamic, 1> z = p.rowwise().sum();
  const Array alpha = p.colwise() / z;
  return {alpha.matrix() * v, m + z.log(), alpha};
}

}  // namespace assay
