// What every kernel of attnres_fwd is given: the tensors of the contract and the sizes.
#pragma once

#include <cstdint>
#include <string>

#include "harness/core/variant.h"
#include "kernels/device/rows.h"

namespace assay::ASSAY_TWIN::attnres_fwd {

template <class T>
struct Arguments {
  static constexpr int kPart = 16 / sizeof(T);  // elements in 16 bytes

  const T* v;                 // (N, T, D)
  AnyInput w, g;              // (Q, D); g may be absent: ones
  AnyOutput o;                // (Q, T, D)
  AnyOutput lse;              // (Q, T)
  int sources, queries, dim;  // N, Q, D
  std::int64_t tokens;        // T
  float eps;
  std::int64_t v_pitch, w_pitch, g_pitch, o_pitch, lse_pitch;  // elements from row to row
  bool aligned;  // every row of v, w, g, o starts at a multiple of a 16-byte vector of T: vectors
                 // may be used

  ASSAY_DEVICE const T* row(int source, std::int64_t token) const {
    return v + (source * tokens + token) * v_pitch;
  }
  // Where rows begin, in elements.
  ASSAY_DEVICE std::int64_t w_row(int query) const { return query * w_pitch; }
  ASSAY_DEVICE std::int64_t g_row(int query) const { return query * g_pitch; }
  ASSAY_DEVICE std::int64_t o_row(std::int64_t query, std::int64_t token) const {
    return (query * tokens + token) * o_pitch;
  }
  ASSAY_DEVICE std::int64_t lse_at(std::int64_t query, std::int64_t token) const {
    return query * lse_pitch + token;
  }
};

template <class T>
Arguments<T> arguments(const Problem& p, const Buffers& buffers) {
  Arguments<T> a = {};
  a.v = buffers["V"].as<const T>();
  a.w = input(buffers, "w");
  a.g = input(buffers, "g");
  a.o = output(buffers, "O");
  a.lse = output(buffers, "LSE");
  a.sources = static_cast<int>(p.dim("N"));
  a.queries = static_cast<int>(p.dim("Q"));
  a.dim = static_cast<int>(p.dim("D"));
  a.tokens = p.dim("T");
  a.eps = static_cast<float>(p.real("eps"));
  a.v_pitch = row_pitch(buffers, "V");
  a.w_pitch = row_pitch(buffers, "w");
  a.g_pitch = row_pitch(buffers, "g");
  a.o_pitch = row_pitch(buffers, "O");
  a.lse_pitch = row_pitch(buffers, "LSE");
  // All of them multiples of a power of two.
  a.aligned = (a.dim | a.v_pitch | a.w_pitch | a.g_pitch | a.o_pitch) % kVectorSize<T> == 0;
  for (const void* data :
       {static_cast<const void*>(a.v), a.w.data, a.g.data, static_cast<const void*>(a.o.data)}) {
    a.aligned = a.aligned && is_vector_aligned(data);
  }
  return a;
}

// The kernels index rows, queries and tokens of a launch with 32 bits, elements with 64.
inline std::string too_large(const Problem& p) {
  constexpr std::int64_t kMost = std::int64_t{1} << 30;
  for (const char* name : {"N", "Q", "D", "T"}) {
    if (p.dim(name) > kMost) return std::string(name) + " above 2^30";
  }
  return "";
}

}  // namespace assay::ASSAY_TWIN::attnres_fwd
