// What every cpu kernel of attnres_fwd is given, and the folding of the weights that each begins
// with.
#pragma once

#include <cstdint>
#include <optional>

#include "harness/core/problem.h"
#include "harness/core/tensor.h"
#include "harness/core/variant.h"
#include "kernels/device/cpu_rows.h"

namespace assay::cpu {

struct Arguments {
  TensorView v, w, o, lse;      // (N, T, D), (Q, D), (Q, T, D), (Q, T)
  std::optional<TensorView> g;  // (Q, D)
  std::int64_t blocks, queries, tokens, dim;
  std::int64_t pitch, block_pitch;  // elements from token to token of V, from block to block
  double eps;
  float* c;        // (Q, padded D): w⊙g, at the start of the workspace
  float* scratch;  // the rest of the workspace
  bool stream;     // O goes past the cache

  Arguments(const Problem& p, const Buffers& b)
      : v(b["V"]),
        w(b["w"]),
        o(b["O"]),
        lse(b["LSE"]),
        blocks(p.dim("N")),
        queries(p.dim("Q")),
        tokens(p.dim("T")),
        dim(p.dim("D")),
        pitch(v.spec.row_offset(1)),
        block_pitch(tokens * pitch),
        eps(p.real("eps")),
        c(static_cast<float*>(b.workspace)),
        scratch(c + queries * padded_dim(dim)) {
    if (const TensorView* weights = b.find("g")) g = *weights;
    stream = goes_past_cache(o, v.spec.bytes() + o.spec.bytes());
  }

  // Of LSE, in elements.
  std::int64_t lse_at(std::int64_t query, std::int64_t token) const {
    return lse.spec.row_offset(query) + token;
  }
};

// Floats of c in the workspace.
inline std::int64_t weight_floats(const Problem& p) { return p.dim("Q") * padded_dim(p.dim("D")); }

// c of all queries, in the pair order of V.
template <class V>
void fold_weights(const Arguments& a) {
  run_simd<FoldWeights<V>>(&a.w, a.g ? &*a.g : nullptr, a.queries, a.dim, a.c);
}

}  // namespace assay::cpu
