// attnres_merge_bwd/fused: one token at a time; its rows of P, O1 and dH come from memory once, for
// the sums over D, and out of the cache a second time, for dP, dO1 and X = Σ dl r P, of which each
// thread keeps its own sum. Those are added up in a fixed order at the end. Versus naive: vectors,
// and two passes over a token's rows instead of ten.
#include <algorithm>
#include <bit>

#include "harness/core/parallel.h"
#include "kernels/attnres_merge_bwd/cpu/arguments.h"
#include "kernels/device/cpu_rows.h"

namespace assay::cpu::attnres_merge_bwd_fused {

using namespace attnres_merge_bwd;

// Columns that go into one running sum; a row has one for each so many, which are then added: that
// keeps errors of long rows small. A multiple of any pair.
constexpr std::int64_t kRun = 512;

// Columns whose results wait for being stored.
constexpr std::int64_t kColumns = 128;

// Scratch, in the pair order of P: c (padded D), then for each thread X (padded D).
struct Scratch {
  float *c, *x;
  explicit Scratch(const Arguments& a, int part = 0)
      : c(a.scratch), x(c + (1 + part) * padded_dim(a.dim)) {}
};

// Of one token, over D: Σ P², Σ c P, Σ dH (P - O1).
struct Sums {
  float square, score, gain;
};

template <Isa isa, class T>
ASSAY_INLINE Sums add_up(const Arguments& a, std::int64_t t, const float* c) {
  const T* const p = a.p.as<const T>() + t * a.dim;
  Floats<isa> square = {}, score = {}, gain = {};
  for (std::int64_t run = 0; run < a.dim; run += kRun) {
    Pair<isa> squares = {}, scores = {}, gains = {};
    const std::int64_t end = std::min(run + kRun, a.dim);
    for (std::int64_t d = run; d < end; d += kPair<isa>) {
      const std::int64_t count = end - d;
      const Pair<isa> x = load_part<isa>(p + d, count),
                      y = load_as<isa, T>(a.o1, t * a.dim + d, count),
                      h = load_as<isa, T>(a.d_h, t * a.dim + d, count);
      multiply_add(squares, x, x);
      multiply_add(scores, x, load<isa>(c + d));
      multiply_add(gains, h, Pair<isa>{x.a - y.a, x.b - y.b});
    }
    square += squares.a + squares.b;
    score += scores.a + scores.b;
    gain += gains.a + gains.b;
  }
  return {sum<isa>(square), sum<isa>(score), sum<isa>(gain)};
}

template <Isa isa, class T>
ASSAY_INLINE void differentiate(const Arguments& a, std::int64_t t, const Coefficients& of,
                                const Scratch& scratch, bool stream) {
  const T* const p = a.p.as<const T>() + t * a.dim;
  alignas(64) float d_p[kColumns], d_o1[kColumns];
  const auto put_row = [&](const TensorView& to, std::int64_t d, const float* row,
                           std::int64_t count) ASSAY_INLINE_LAMBDA {
    const auto size = static_cast<std::int64_t>(size_of(to.spec.dtype));
    store_row<isa, T>(to.as<char>() + (t * a.dim + d) * size, to.spec.dtype, row, count, stream);
  };
  for (std::int64_t begin = 0; begin < a.dim; begin += kColumns) {
    const std::int64_t columns = std::min(kColumns, a.dim - begin);
    for (std::int64_t i = 0; i < columns; i += kPair<isa>) {
      const std::int64_t d = begin + i, count = columns - i;
      const Pair<isa> x = load_part<isa>(p + d, count),
                      h = load_as<isa, T>(a.d_h, t * a.dim + d, count);
      Pair<isa> sum = scale(x, -of.radial);
      if (a.accumulate) {
        const Pair<isa> given = load_as<isa, T>(a.d_p, t * a.dim + d, count);
        sum = {sum.a + given.a, sum.b + given.b};
      }
      multiply_add(sum, load<isa>(scratch.c + d), of.key);
      multiply_add(sum, h, of.beta);
      store(d_p + i, sum);
      store(d_o1 + i, scale(h, of.rest));
      Pair<isa> own = load<isa>(scratch.x + d);
      multiply_add(own, x, of.key);
      store(scratch.x + d, own);
    }
    put_row(a.d_p, begin, d_p, columns);
    put_row(a.d_o1, begin, d_o1, columns);
  }
}

template <class T>
struct Fused {
  template <Isa isa>
  static ASSAY_INLINE void run(const Arguments* a, std::int64_t begin, std::int64_t end, int part,
                               bool stream) {
    const Scratch scratch(*a, part);
    std::fill_n(scratch.x, padded_dim(a->dim), 0.0f);
    for (std::int64_t t = begin; t < end; ++t) {
      const Sums sums = add_up<isa, T>(*a, t, scratch.c);
      const float r = rms_reciprocal(sums.square, a->dim, a->eps);
      const Coefficients of = merge_backward(r, sums.score * r, get(a->l1, t), sums.gain,
                                             a->d_lse.data ? get(a->d_lse, t) : 0, a->dim);
      put(a->d_l1, t, of.d_l1);
      differentiate<isa, T>(*a, t, of, scratch, stream);
    }
    stream_fence();
  }
};

// dw = g⊙X, dg = w⊙X. The first thread's X becomes that of all, in the order of memory.
template <class T>
struct Finish {
  template <Isa isa>
  static ASSAY_INLINE void run(const Arguments* a, std::int64_t parts) {
    float* const x = Scratch(*a).x;
    for (std::int64_t part = 1; part < parts; ++part) {
      const float* const other = Scratch(*a, static_cast<int>(part)).x;
      for (std::int64_t d = 0; d < padded_dim(a->dim); ++d) x[d] += other[d];
    }
    for (std::int64_t d = 0; d < a->dim; d += kPair<isa>)
      store(x + d, reorder<isa, T, float>(load<isa>(x + d)));
    for (std::int64_t d = 0; d < a->dim; ++d) {
      put(a->d_w, d, a->g.data ? get(a->g, d) * x[d] : x[d]);
      if (a->d_g.data) put(a->d_g, d, get(a->w, d) * x[d]);
    }
  }
};

namespace {

// Threads that have tokens.
std::int64_t parts_of(const Problem& p) {
  return std::min<std::int64_t>(num_threads(), p.dim("T"));
}

// The longest chain of add_up: a run, the runs, the lanes.
double sums_height(std::int64_t dim) {
  const std::int64_t lanes = simd_width(best_isa());
  return height(std::min(dim, kRun) / (2 * lanes) + 2 + (dim + kRun - 1) / kRun +
                    std::bit_width(static_cast<std::uint64_t>(lanes)),
                1);
}

ASSAY_VARIANT(fused){
    .op = "attnres_merge_bwd",
    .name = "fused",
    .summary = "a token at a time, its rows from memory once; dw summed in a fixed order",
    .numerics =
        [](const Problem& p) {
          const std::int64_t parts = parts_of(p);
          return Numerics{.summation_height = sums_height(p.dim("D")),
                          .batch_height = height((p.dim("T") + parts - 1) / parts + parts + 2, 1)};
        },
    .workspace =
        [](const Problem& p) { return workspace_of((1 + num_threads()) * padded_dim(p.dim("D"))); },
    .prepare = [](const Problem& p, const Buffers& b) -> Launch {
      return dispatch(p.dtype_of("P"), [&](auto type) -> Launch {
        using T = typename decltype(type)::type;
        const Arguments a(p, b);
        const std::int64_t bytes = a.p.spec.bytes() + a.o1.spec.bytes() + a.d_h.spec.bytes();
        const bool stream =
            !a.accumulate && goes_past_cache(a.d_p, bytes) && goes_past_cache(a.d_o1, bytes);
        return [a, stream, parts = parts_of(p)](Stream) {
          run_simd<FoldWeights<T>>(&a.w, a.g.data ? &a.g : nullptr, std::int64_t{1}, a.dim,
                                   a.scratch);
          parallel_for(a.tokens, 1, [&](std::int64_t begin, std::int64_t end, int part) {
            run_simd<Fused<T>>(&a, begin, end, part, stream);
          });
          run_simd<Finish<T>>(&a, parts);
        };
      });
    },
};

}  // namespace
}  // namespace assay::cpu::attnres_merge_bwd_fused
