// Attention Residuals over a whole network: what is computed.
//
// Source: "Attention Residuals", Kimi Team, arXiv 2603.15031, block form; L layers in blocks of S
// (the last may be shorter). A layer is the identity, or adds what it is given: what remains is the
// schedule between layers, in the shape in which published speed-ups are quoted (identities, L=32,
// S=8, T=65536, D=2048).
//   In:  X (T,D) the embedding; w (L,D), optional g (L,D), absent = ones, of the layers; w_out (D),
//        g_out (D) of the output;  c = w⊙g
//        optional Y (L,T,D), what each layer adds: f_l(h) = h + Y_l; absent: zeros
//   V_0 = X. For block b = 0, 1, …, of layers l_0 = bS, …, l_{n-1}:
//     (O_j, L_j) = attnres_fwd of V_0 … V_b with c of l_j, for all j at once (phase 1)
//     h_0 = O_0;  for j > 0: P_j = Σ_{i<j} f(h_i), h_j = attnres_merge_fwd of P_j, O_j, L_j with c
//     of l_j (phase 2);  V_{b+1} = Σ_j f(h_j)
//   Out: O (T,D) = attnres_fwd of all V with w_out⊙g_out
// block_attnres_bwd: from X and dO (T,D) the gradients dX, dw, dg, dw_out, dg_out; a training step,
// forward pass included.
//
// There are no bounds: through dozens of layers a bound would explain anything. Variants are
// composites, whose steps are judged one by one by the bounds of their own ops, from the inputs
// that they had; and their schedule, done without roundings, must be this definition. For that Y is
// needed: with identities all V_b are multiples of X, and no weight makes a difference.
#pragma once

#include <Eigen/Core>
#include <algorithm>
#include <cstdint>

#include "reference/attnres_fwd.h"
#include "reference/attnres_merge_fwd.h"

namespace assay {

// The definition itself, for one token, in any scalar: double, or dual numbers to differentiate it.
// x (1,D), y (L,D), c (L+1,D), the last row the output's. Returns O (1,D).
template <class S>
RowMatrix<S> block_attnres_token(const RowMatrix<S>& x, const RowMatrix<S>& y,
                                 const RowMatrix<S>& c, std::int64_t layers_per_block,
                                 const S& eps) {
  using Row = Eigen::Array<S, Eigen::Dynamic, 1>;
  const auto row = [](const RowMatrix<S>& of, Eigen::Index i) {
    return Row(of.row(i).transpose().array());
  };
  const Eigen::Index layers = c.rows() - 1;
  RowMatrix<S> v = x;  // one row more after each block
  for (Eigen::Index first = 0; first < layers; first += layers_per_block) {
    const Eigen::Index count = std::min<Eigen::Index>(layers_per_block, layers - first);
    const RowMatrix<S> queries = c.middleRows(first, count);
    const AttnResToken<S> mixed = attnres_fwd_token<S>(v, queries, eps);
    Row sum = row(mixed.output, 0) + row(y, first);
    for (Eigen::Index j = 1; j < count; ++j) {
      const Row h =
          attnres_merge_fwd_token<S>(sum, row(queries, j), row(mixed.output, j), mixed.lse(j), eps)
              .output;
      sum += h + row(y, first + j);
    }
    v.conservativeResize(v.rows() + 1, Eigen::NoChange);
    v.row(v.rows() - 1) = sum.matrix().transpose();
  }
  return attnres_fwd_token<S>(v, c.bottomRows(1), eps).output;
}

}  // namespace assay
