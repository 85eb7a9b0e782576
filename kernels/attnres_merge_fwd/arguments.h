// What every kernel of attnres_merge_fwd is given, and the steps that the variants share.
#pragma once

#include <cstdint>
#include <string>

#include "harness/core/variant.h"
#include "kernels/device/rows.h"

namespace assay::ASSAY_TWIN::attnres_merge_fwd {

template <class T>
struct Arguments {
  T* p;                 // (T, D); written where there is a u
  AnyInput w, g;        // (D); g may be absent: ones
  AnyInput o1, l1, u;   // (T, D), (T), (T, D); u may be absent
  AnyOutput h, lse;     // (T, D), (T)
  int dim;              // D
  std::int64_t tokens;  // T
  float eps;
  bool aligned;  // every row of p, w, g, o1, u, h starts at a multiple of 16 bytes, or of a vector
                 // of as many elements as T has in 16 bytes: vectors may be used
};

template <class T>
Arguments<T> arguments(const Problem& problem, const Buffers& buffers) {
  Arguments<T> a = {};
  a.p = buffers["P"].as<T>();
  a.w = input(buffers, "w");
  a.g = input(buffers, "g");
  a.o1 = input(buffers, "O1");
  a.l1 = input(buffers, "L1");
  a.u = input(buffers, "U");
  a.h = output(buffers, "H");
  a.lse = output(buffers, "LSE");
  a.dim = static_cast<int>(problem.dim("D"));
  a.tokens = problem.dim("T");
  a.eps = static_cast<float>(problem.real("eps"));
  a.aligned = a.dim % kVectorSize<T> == 0;
  for (const void* data : {static_cast<const void*>(a.p), a.w.data, a.g.data, a.o1.data, a.u.data,
                           static_cast<const void*>(a.h.data)}) {
    a.aligned = a.aligned && is_vector_aligned(data);
  }
  return a;
}

// The kernels index columns with 32 bits, tokens and elements with 64.
inline std::string too_large(const Problem& p) {
  return p.dim("D") > std::int64_t{1} << 30 ? "D above 2^30" : "";
}

// Elements i to i + kCount - 1 of P, updated where there is a U; the first to read them also writes
// them.
template <class T, int kCount>
ASSAY_DEVICE void update_part(const Arguments<T>& a, std::int64_t i, float (&x)[kCount]) {
  load_part(a.p, i, x);
  if (!a.u.present()) return;
  float u[kCount];
  load_part(a.u, i, u);
  ASSAY_UNROLL
  for (int j = 0; j < kCount; ++j) x[j] = rounded_sum<T>(x[j], u[j]);
  store_part(AnyOutput{a.p, dtype_of<T>}, i, x);
}

// β = σ(l - L1) and LSE = log(e^L1 + e^l). The exponent is never positive, so nothing overflows,
// and neither weight is found as a difference from 1. A NaN passes through both.
struct Weights {
  float beta, lse;
};
ASSAY_DEVICE Weights weigh(float l, float l1) {
  const float x = l - l1;
  const float odds = exp2_approx((x < 0 ? x : -x) * kLog2E), sum = 1 + odds;
  const float larger = 1.0f / sum;  // not odds / sum: zeros take a division's long way
  return {x >= 0 ? larger : odds * larger, maximum(l, l1) + log_accurate(sum)};
}

// H = O1 + β (P - O1).
template <int kCount>
ASSAY_DEVICE void mix(float beta, const float (&p)[kCount], const float (&o1)[kCount],
                      float (&h)[kCount]) {
  ASSAY_UNROLL
  for (int j = 0; j < kCount; ++j) h[j] = o1[j] + beta * (p[j] - o1[j]);
}

}  // namespace assay::ASSAY_TWIN::attnres_merge_fwd
