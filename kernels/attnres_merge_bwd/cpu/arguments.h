// What the cpu kernels of attnres_merge_bwd are given, and what they do with a token's sums.
#pragma once

#include <cmath>
#include <cstdint>

#include "harness/core/problem.h"
#include "harness/core/tensor.h"
#include "harness/core/variant.h"

namespace assay::cpu::attnres_merge_bwd {

struct Arguments {
  TensorView p, o1, d_h;  // (T, D)
  TensorView w, l1;       // (D), (T)
  TensorView d_p, d_o1;   // (T, D)
  TensorView d_l1, d_w;   // (T), (D)
  TensorView g, d_g;      // (D); no data: absent
  TensorView d_lse;       // (T); likewise
  std::int64_t tokens, dim;
  double eps;
  bool accumulate;
  float* scratch;  // the workspace

  Arguments(const Problem& problem, const Buffers& b)
      : p(b["P"]),
        o1(b["O1"]),
        d_h(b["dH"]),
        w(b["w"]),
        l1(b["L1"]),
        d_p(b["dP"]),
        d_o1(b["dO1"]),
        d_l1(b["dL1"]),
        d_w(b["dw"]),
        g(optional(b, "g")),
        d_g(optional(b, "dg")),
        d_lse(optional(b, "dLSE")),
        tokens(problem.dim("T")),
        dim(problem.dim("D")),
        eps(problem.real("eps")),
        accumulate(problem.flag("accumulate")),
        scratch(static_cast<float*>(b.workspace)) {}

 private:
  static TensorView optional(const Buffers& b, const char* name) {
    const TensorView* found = b.find(name);
    return found ? *found : TensorView{};
  }
};

// dP = beta dH + key c - radial P, dO1 = rest dH, X += key P; and dL1.
struct Coefficients {
  float beta, rest, key, radial, d_l1;
};

// gain: Σ dH (P - O1).
inline Coefficients merge_backward(float r, float l, float l1, float gain, float d_lse,
                                   std::int64_t dim) {
  // Each weight from the exponential that is at most 1: neither cancels. A NaN passes through.
  const float x = l - l1, odds = std::exp(-std::abs(x)), sum = 1 + odds;
  const float beta = (x >= 0 ? 1 : odds) / sum, rest = (x >= 0 ? odds : 1) / sum;
  const float s = beta * rest * gain, d_l = s + beta * d_lse, key = d_l * r;
  return {beta, rest, key, key * l * r / static_cast<float>(dim), rest * d_lse - s};
}

}  // namespace assay::cpu::attnres_merge_bwd
