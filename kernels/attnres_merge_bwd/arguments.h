// What every kernel of attnres_merge_bwd is given: the tensors of the contract and the sizes; and
// what it does with the sums over D of a token.
#pragma once

#include "kernels/attnres_merge_fwd/arguments.h"
#include "kernels/device/math.h"

namespace assay::ASSAY_TWIN::attnres_merge_bwd {

using attnres_merge_fwd::too_large;

struct Arguments {
  static constexpr int kPart = 8;  // elements of a vector, in any dtype

  AnyInput p, o1, d_h;  // (T, D)
  AnyInput w, g;        // (D); g may be absent: ones
  AnyInput l1, d_lse;   // (T); dLSE may be absent: zeros
  AnyOutput d_p, d_o1;  // (T, D)
  AnyOutput d_l1;       // (T)
  AnyOutput d_w, d_g;   // (D); dg is there if g is
  int queries;          // 1: w has one row
  int dim;              // D
  std::int64_t tokens;  // T
  float eps;
  bool accumulate;  // adds to dP
  bool aligned;     // every row starts at a multiple of 16 bytes, and D is one of kPart

  ASSAY_DEVICE AnyInput given() const { return {d_p.data, d_p.dtype}; }
};

inline Arguments arguments(const Problem& p, const Buffers& buffers) {
  Arguments a = {};
  a.p = input(buffers, "P");
  a.o1 = input(buffers, "O1");
  a.d_h = input(buffers, "dH");
  a.w = input(buffers, "w");
  a.g = input(buffers, "g");
  a.l1 = input(buffers, "L1");
  a.d_lse = input(buffers, "dLSE");
  a.d_p = output(buffers, "dP");
  a.d_o1 = output(buffers, "dO1");
  a.d_l1 = output(buffers, "dL1");
  a.d_w = output(buffers, "dw");
  a.d_g = output(buffers, "dg");
  a.queries = 1;
  a.dim = static_cast<int>(p.dim("D"));
  a.tokens = p.dim("T");
  a.eps = static_cast<float>(p.real("eps"));
  a.accumulate = p.flag("accumulate");
  a.aligned = a.dim % Arguments::kPart == 0;
  for (const void* data :
       {a.p.data, a.o1.data, a.d_h.data, a.w.data, a.g.data, static_cast<const void*>(a.d_p.data),
        static_cast<const void*>(a.d_o1.data)}) {
    a.aligned = a.aligned && is_vector_aligned(data);
  }
  return a;
}

// Of one token, over D: Σ c P, Σ P², Σ dH (P - O1).
struct Sums {
  float score, square, gain;
};

// dP = beta dH + key c - radial P, dO1 = rest dH, X += key P; and dL1.
struct Coefficients {
  float beta, rest;  // β, 1 - β
  float key;         // dl r
  float radial;      // dl l r² / D
  float d_l1;
};

ASSAY_DEVICE float lse_cotangent(const Arguments& a, std::int64_t t) {
  return a.d_lse.present() ? a.d_lse.load(t) : 0;
}

ASSAY_DEVICE Coefficients merge_backward(const Arguments& a, const Sums& sums, float l1,
                                         float d_lse) {
  const float dim = static_cast<float>(a.dim);
  const float r = reciprocal_sqrt(sums.square / dim + a.eps);
  const float l = sums.score * r;
  // Each weight from the exponential that is at most 1: neither cancels. A NaN passes through.
  const float x = l - l1;
  const float odds = exp2_approx((x < 0 ? x : -x) * kLog2E), sum = 1 + odds;
  const float larger = 1.0f / sum, smaller = odds * larger;
  const float beta = x >= 0 ? larger : smaller, rest = x >= 0 ? smaller : larger;
  const float s = beta * rest * sums.gain;
  const float d_l = s + beta * d_lse;
  const float key = d_l * r;
  return {beta, rest, key, key * l * r / dim, rest * d_lse - s};
}

// What a part of a row adds to the sums.
template <int kCount>
ASSAY_DEVICE void add_part(const float (&p)[kCount], const float (&o1)[kCount],
                           const float (&d_h)[kCount], const float (&c)[kCount], Sums& sums) {
  ASSAY_UNROLL
  for (int j = 0; j < kCount; ++j) {
    sums.score += c[j] * p[j];
    sums.square += p[j] * p[j];
    sums.gain += d_h[j] * (p[j] - o1[j]);
  }
}

// A part of the gradients; d_p comes with what it is added to.
template <int kCount>
ASSAY_DEVICE void differentiate_part(const Coefficients& of, const float (&p)[kCount],
                                     const float (&d_h)[kCount], const float (&c)[kCount],
                                     float (&d_p)[kCount], float (&d_o1)[kCount]) {
  ASSAY_UNROLL
  for (int j = 0; j < kCount; ++j) {
    d_p[j] += of.beta * d_h[j] + (of.key * c[j] - of.radial * p[j]);
    d_o1[j] = of.rest * d_h[j];
  }
}

// Sums over D of token t, by a block.
ASSAY_DEVICE Sums add_up_row(const Arguments& a, std::int64_t t) {
  const std::int64_t row = t * a.dim;
  Sums own = {};
  for_each_part<Arguments::kPart>(a.aligned, 0, a.dim, [&]<int kCount>(int d, Count<kCount>) {
    float p[kCount], o1[kCount], d_h[kCount], c[kCount];
    load_part(a.p, row + d, p);
    load_part(a.o1, row + d, o1);
    load_part(a.d_h, row + d, d_h);
    load_weights(a.w, a.g, d, c);
    add_part(p, o1, d_h, c, own);
  });
  return {block_sum(own.score), block_sum(own.square), block_sum(own.gain)};
}

// dP and dO1 of token t, by a block; and body(d, p, kCount) for each part.
template <class Body>
ASSAY_DEVICE void differentiate_row(const Arguments& a, std::int64_t t, const Coefficients& of,
                                    const Body& body) {
  const std::int64_t row = t * a.dim;
  for_each_part<Arguments::kPart>(a.aligned, 0, a.dim, [&]<int kCount>(int d, Count<kCount>) {
    float p[kCount], d_h[kCount], c[kCount], d_p[kCount] = {}, d_o1[kCount];
    load_part(a.p, row + d, p);
    load_part(a.d_h, row + d, d_h);
    load_weights(a.w, a.g, d, c);
    if (a.accumulate) load_part(a.given(), row + d, d_p);
    differentiate_part(of, p, d_h, c, d_p, d_o1);
    store_part(a.d_p, row + d, d_p);
    store_part(a.d_o1, row + d, d_o1);
    body(d, p);
  });
}

}  // namespace assay::ASSAY_TWIN::attnres_merge_bwd
