// What every kernel of attnres_bwd is given: the tensors of the contract and the sizes.
#pragma once

#include "kernels/attnres_fwd/arguments.h"

namespace assay::ASSAY_TWIN::attnres_bwd {

using attnres_fwd::too_large;

struct Arguments {
  static constexpr int kPart = 8;  // elements of a vector, in any dtype

  AnyInput v;                 // (N, T, D)
  AnyInput w, g;              // (Q, D); g may be absent: ones
  AnyInput d_o;               // (Q, T, D)
  AnyInput d_lse;             // (Q, T); may be absent: zeros
  AnyOutput d_v;              // (N, T, D)
  AnyOutput d_w, d_g;         // (Q, D); dg is there if g is
  int sources, queries, dim;  // N, Q, D
  std::int64_t tokens;        // T
  float eps;
  bool accumulate;  // adds to dV
  bool aligned;  // every row of v, w, g, dO, dV starts at a multiple of 16 bytes, and D is one of
                 // kPart

  ASSAY_DEVICE std::int64_t row(int source, std::int64_t token) const {
    return (source * tokens + token) * dim;
  }
  // Where rows of w and g begin.
  ASSAY_DEVICE std::int64_t w_row(int query) const { return std::int64_t{query} * dim; }
  ASSAY_DEVICE std::int64_t g_row(int query) const { return w_row(query); }
  // Of dO, likewise.
  ASSAY_DEVICE std::int64_t query_row(int query, std::int64_t token) const {
    return (query * tokens + token) * dim;
  }
  ASSAY_DEVICE AnyInput given() const { return {d_v.data, d_v.dtype}; }
};

inline Arguments arguments(const Problem& p, const Buffers& buffers) {
  Arguments a = {};
  a.v = input(buffers, "V");
  a.w = input(buffers, "w");
  a.g = input(buffers, "g");
  a.d_o = input(buffers, "dO");
  a.d_lse = input(buffers, "dLSE");
  a.d_v = output(buffers, "dV");
  a.d_w = output(buffers, "dw");
  a.d_g = output(buffers, "dg");
  a.sources = static_cast<int>(p.dim("N"));
  a.queries = static_cast<int>(p.dim("Q"));
  a.dim = static_cast<int>(p.dim("D"));
  a.tokens = p.dim("T");
  a.eps = static_cast<float>(p.real("eps"));
  a.accumulate = p.flag("accumulate");
  a.aligned = a.dim % Arguments::kPart == 0;
  for (const void* data :
       {a.v.data, a.w.data, a.g.data, a.d_o.data, static_cast<const void*>(a.d_v.data)}) {
    a.aligned = a.aligned && is_vector_aligned(data);
  }
  return a;
}

}  // namespace assay::ASSAY_TWIN::attnres_bwd
