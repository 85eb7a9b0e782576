// What every cpu kernel of attnres_fwd is given, and the folding of the weights that each begins
// with.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

#include "harness/core/convert.h"
#include "harness/core/problem.h"
#include "harness/core/tensor.h"
#include "harness/core/variant.h"
#include "kernels/device/cpu_simd.h"

namespace assay::cpu {

// To whole columns of the widest mix (4 pairs of 16 floats, see rows.h).
constexpr std::int64_t padded_dim(std::int64_t dim) { return (dim + 127) / 128 * 128; }

struct Arguments {
  TensorView v, w, o, lse;      // (N, T, D), (Q, D), (Q, T, D), (Q, T)
  std::optional<TensorView> g;  // (Q, D)
  std::int64_t blocks, queries, tokens, dim;
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
        eps(p.real("eps")),
        c(static_cast<float*>(b.workspace)),
        scratch(c + queries * padded_dim(dim)) {
    if (const TensorView* weights = b.find("g")) g = *weights;
    // Non-temporal stores pay for whole cache lines, and where the data outgrows a core's share of
    // the cache anyway.
    constexpr std::int64_t kOutgrows = 16 << 20;
    stream = dim * static_cast<std::int64_t>(size_of(o.spec.dtype)) % 64 == 0 &&
             reinterpret_cast<std::uintptr_t>(o.data) % 64 == 0 &&
             v.spec.bytes() + o.spec.bytes() >= kOutgrows;
  }
};

// Floats of c in the workspace.
inline std::int64_t weight_floats(const Problem& p) { return p.dim("Q") * padded_dim(p.dim("D")); }

inline Workspace workspace_of(std::int64_t floats) {
  return {floats * static_cast<std::int64_t>(sizeof(float))};
}

// Elements [at, at + count) of a vector of any dtype, in the pair order of Order; 0 beyond.
template <Isa isa, class Order>
ASSAY_INLINE Pair<isa> load_as(const TensorView& x, std::int64_t at, std::int64_t count) {
  switch (x.spec.dtype) {
    case DType::f16:
      return reorder<isa, f16, Order>(load_part<isa>(x.as<const f16>() + at, count));
    case DType::bf16:
      return reorder<isa, bf16, Order>(load_part<isa>(x.as<const bf16>() + at, count));
    case DType::f32:
      break;
  }
  return reorder<isa, float, Order>(load_part<isa>(x.as<const float>() + at, count));
}

// c = w⊙g in the pair order of V, 0 in the padding. An absent g is all ones.
template <class V>
struct FoldWeights {
  template <Isa isa>
  static ASSAY_INLINE void run(const Arguments* a) {
    const std::int64_t padded = padded_dim(a->dim);
    for (std::int64_t q = 0; q < a->queries; ++q) {
      for (std::int64_t d = 0; d < padded; d += kPair<isa>) {
        const std::int64_t at = q * a->dim + d;
        const std::int64_t count = std::clamp<std::int64_t>(a->dim - d, 0, kPair<isa>);
        Pair<isa> c = count > 0 ? load_as<isa, V>(a->w, at, count) : Pair<isa>{};
        if (a->g && count > 0) {
          const Pair<isa> g = load_as<isa, V>(*a->g, at, count);
          c = {c.a * g.a, c.b * g.b};
        }
        store(a->c + q * padded + d, c);
      }
    }
  }
};

// x, rounded to the tensor's dtype, as its element `at`.
inline void put(const TensorView& to, std::int64_t at, float x) {
  dispatch(to.spec.dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    to.as<T>()[at] = narrow<T>(x);
  });
}

}  // namespace assay::cpu
