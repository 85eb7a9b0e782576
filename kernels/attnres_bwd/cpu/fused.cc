// attnres_bwd/fused: one token at a time; its rows come from memory once, are scored against c and
// dO, and are then, out of the cache, mixed into dV and added to X = Σ ds r V, of which each thread
// keeps its own sum. Those are added up in a fixed order at the end.
// Versus naive: V once instead of once for every step and query; for one query the sums are one
// pass over its rows in the cache, dV and X another: at N = 9, D = 2048 on two cores of a Xeon 13.4
// ms for 32 in bf16.
#include "harness/core/parallel.h"
#include "harness/core/variant.h"
#include "kernels/attnres_fwd/cpu/rows.h"

namespace assay::cpu::attnres_bwd_fused {

struct Arguments {
  TensorView v, w, d_o, d_v, d_w;           // (N, T, D), (Q, D), (Q, T, D), (N, T, D), (Q, D)
  std::optional<TensorView> g, d_g, d_lse;  // (Q, D), (Q, D), (Q, T)
  std::int64_t sources, queries, tokens, dim;
  double eps;
  bool accumulate;
  bool stream;  // dV goes past the cache

  float* c;        // (Q, padded D): w⊙g, at the start of the workspace
  float* x;        // (threads, Q, padded D)
  float* scratch;  // (threads, scratch_floats)
  std::int64_t scratch_size;

  Arguments(const Problem& p, const Buffers& b);
};

// Of one thread: rows (2Q, padded D), the dO of its token and c; four rows of values; and numbers.
std::int64_t number_floats(std::int64_t sources, std::int64_t queries) {
  return 6 * sources + 4 * queries * sources + 4 * std::max(2 * queries, sources);
}
std::int64_t scratch_floats(std::int64_t sources, std::int64_t queries, std::int64_t dim) {
  return (2 * queries + 4) * padded_dim(dim) + number_floats(sources, queries);
}

Arguments::Arguments(const Problem& p, const Buffers& b)
    : v(b["V"]),
      w(b["w"]),
      d_o(b["dO"]),
      d_v(b["dV"]),
      d_w(b["dw"]),
      sources(p.dim("N")),
      queries(p.dim("Q")),
      tokens(p.dim("T")),
      dim(p.dim("D")),
      eps(p.real("eps")),
      accumulate(p.flag("accumulate")),
      stream(!accumulate && goes_past_cache(d_v, v.spec.bytes() + d_v.spec.bytes())),
      c(static_cast<float*>(b.workspace)),
      x(c + queries * padded_dim(dim)),
      scratch(x + num_threads() * queries * padded_dim(dim)),
      scratch_size(scratch_floats(sources, queries, dim)) {
  const auto optional = [&](const char* name) {
    const TensorView* found = b.find(name);
    return found ? std::optional<TensorView>(*found) : std::nullopt;
  };
  g = optional("g");
  d_g = optional("dg");
  d_lse = optional("dLSE");
}

// Row `at` of a tensor in fp32, in the pair order of Order, with zeros behind.
template <Isa isa, class Order>
ASSAY_INLINE void widen_row(const TensorView& tensor, std::int64_t at, std::int64_t dim,
                            float* to) {
  for (std::int64_t d = 0; d < padded_dim(dim); d += kPair<isa>) {
    const std::int64_t count = std::clamp<std::int64_t>(dim - d, 0, kPair<isa>);
    store(to + d, count > 0 ? load_as<isa, Order>(tensor, at * dim + d, count) : Pair<isa>{});
  }
}

// What each query and source contribute: dV_n += alpha dO_q + key c_q - radial v_n, X_q += key v_n.
struct Coefficients {
  float* alpha;   // (Q, N)
  float* key;     // (Q, N): ds r
  float* radial;  // (N): Σ_q ds l r² / D
};

// From scores Σ c v and gains Σ dO v (Q, N), which become alpha and key.
ASSAY_INLINE void softmax_backward(const Arguments& a, std::int64_t t, const float* r,
                                   float* scores, float* gains, const Coefficients& out) {
  const std::int64_t sources = a.sources;
  std::fill_n(out.radial, sources, 0.0f);
  for (std::int64_t q = 0; q < a.queries; ++q) {
    float* const l = scores + q * sources;
    float* const alpha = out.alpha + q * sources;
    float* const key = out.key + q * sources;
    for (std::int64_t n = 0; n < sources; ++n) alpha[n] = l[n] *= r[n];
    normalise(alpha, sources, 1, exponentiate(alpha, sources, 1, {}));
    float delta = 0;
    for (std::int64_t n = 0; n < sources; ++n) delta += alpha[n] * gains[q * sources + n];
    const float d_lse = a.d_lse ? a.d_lse->as<float>()[q * a.tokens + t] : 0;
    for (std::int64_t n = 0; n < sources; ++n) {
      key[n] = alpha[n] * (gains[q * sources + n] - delta + d_lse) * r[n];
      out.radial[n] += key[n] * l[n] * r[n] / static_cast<float>(a.dim);
    }
  }
}

// dV and X of one query, column by column: V is read once for both. `rows`: dO and c.
template <class T>
struct Gradients {
  template <Isa isa>
  static ASSAY_INLINE void run(const Arguments* a, std::int64_t t, const float* rows,
                               const Coefficients* of, float* x) {
    constexpr int kPairs = isa == Isa::avx512 ? 4 : 2, kCount = kPairs * kPair<isa>;
    const float* const folded = rows + padded_dim(a->dim);
    const DType dtype = a->d_v.spec.dtype;
    T copy[kCount];
    for (std::int64_t d = 0; d < a->dim; d += kCount) {
      const std::int64_t count = std::min<std::int64_t>(kCount, a->dim - d);
      Pair<isa> d_o[kPairs], c[kPairs], sum[kPairs];
      unroll<kPairs>([&](auto u) ASSAY_INLINE_LAMBDA {
        d_o[u] = load<isa>(rows + d + u * kPair<isa>);
        c[u] = load<isa>(folded + d + u * kPair<isa>);
        sum[u] = load<isa>(x + d + u * kPair<isa>);
      });
      for (std::int64_t n = 0; n < a->sources; ++n) {
        const std::int64_t at = (n * a->tokens + t) * a->dim + d;
        const T* const row = padded_columns<kCount>(a->v.as<const T>() + at, count, copy);
        alignas(64) float column[kCount];
        unroll<kPairs>([&](auto u) ASSAY_INLINE_LAMBDA {
          const Pair<isa> v = load<isa>(row + u * kPair<isa>);
          multiply_add(sum[u], v, of->key[n]);
          Pair<isa> out = scale(v, -of->radial[n]);
          multiply_add(out, d_o[u], of->alpha[n]);
          multiply_add(out, c[u], of->key[n]);
          if (const std::int64_t left = count - u * kPair<isa>; a->accumulate && left > 0) {
            const Pair<isa> given = load_as<isa, T>(a->d_v, at + u * kPair<isa>,
                                                    std::min<std::int64_t>(left, kPair<isa>));
            out = {out.a + given.a, out.b + given.b};
          }
          store(column + u * kPair<isa>, out);
        });
        store_row<isa, T>(a->d_v.as<char>() + at * static_cast<std::int64_t>(size_of(dtype)), dtype,
                          column, count, a->stream);
      }
      unroll<kPairs>([&](auto u) ASSAY_INLINE_LAMBDA { store(x + d + u * kPair<isa>, sum[u]); });
    }
  }
};

template <class T>
struct Fused {
  template <Isa isa>
  static ASSAY_INLINE void run(const Arguments* a, std::int64_t begin, std::int64_t end, float* x,
                               float* scratch) {
    const std::int64_t padded = padded_dim(a->dim), pairs = a->queries * a->sources;
    float* const rows = scratch;  // dO, then c
    float* const values = rows + 2 * a->queries * padded;
    float* const numbers = values + 4 * padded;
    auto take = [at = numbers](std::int64_t count) mutable {
      float* const begin_of = at;
      at += count;
      return begin_of;
    };
    float* const gains = take(2 * pairs);
    float* const scores = gains + pairs;
    const Coefficients of = {take(pairs), take(pairs), take(a->sources)};
    float* const r = take(a->sources);
    float* const dots = take(4 * a->sources);
    float* const weight = take(4 * std::max(2 * a->queries, a->sources));

    std::copy_n(a->c, a->queries * padded, rows + a->queries * padded);
    std::fill_n(x, a->queries * padded, 0.0f);
    for (std::int64_t t = begin; t < end; ++t) {
      const T* v = a->v.as<const T>() + t * a->dim;
      const std::int64_t stride = a->tokens * a->dim;
      for (std::int64_t q = 0; q < a->queries; ++q)
        widen_row<isa, T>(a->d_o, q * a->tokens + t, a->dim, rows + q * padded);

      // Sums over D: gains, then scores.
      for_query_groups(2 * a->queries, [&]<int kRows>(std::int64_t first) ASSAY_INLINE_LAMBDA {
        score_rows<isa, kRows>(v, a->sources, stride, a->dim, rows + first * padded, r, dots);
        for (std::int64_t n = 0; n < a->sources; ++n)
          for (int i = 0; i < kRows; ++i) gains[(first + i) * a->sources + n] = dots[n * kRows + i];
      });
      for (std::int64_t n = 0; n < a->sources; ++n) r[n] = rms_reciprocal(r[n], a->dim, a->eps);
      softmax_backward(*a, t, r, scores, gains, of);
      if (a->queries == 1) {
        call_simd<Gradients<T>, isa>(a, t, static_cast<const float*>(rows), &of, x);
        continue;
      }

      // dV: what is proportional to v, then all the rest.
      for_query_groups(a->sources, [&]<int kSources>(std::int64_t n) ASSAY_INLINE_LAMBDA {
        float keep[kSources];
        for (int i = 0; i < kSources; ++i) {
          keep[i] = 1;
          scale_row<isa>(*a, (n + i) * a->tokens + t, of.radial[n + i], values + i * padded);
          for (std::int64_t q = 0; q < a->queries; ++q) {
            weight[q * kSources + i] = of.alpha[q * a->sources + n + i];
            weight[(a->queries + q) * kSources + i] = of.key[q * a->sources + n + i];
          }
        }
        const DType dtype = a->d_v.spec.dtype;
        const std::int64_t bytes = a->dim * static_cast<std::int64_t>(size_of(dtype));
        const MixTarget out = {a->d_v.as<char>() + (n * a->tokens + t) * bytes, a->tokens * bytes,
                               dtype, a->stream, false};
        mix_rows<isa, kSources, T>(rows, 2 * a->queries, padded, a->dim, weight, keep, values, out);
      });

      // X.
      for_query_groups(a->queries, [&]<int kQueries>(std::int64_t q) ASSAY_INLINE_LAMBDA {
        float keep[kQueries];
        for (int i = 0; i < kQueries; ++i) {
          keep[i] = 1;
          for (std::int64_t n = 0; n < a->sources; ++n)
            weight[n * kQueries + i] = of.key[(q + i) * a->sources + n];
        }
        float* const sum = x + q * padded;
        mix_rows<isa, kQueries, T>(v, a->sources, stride, a->dim, weight, keep, sum,
                                   to_scratch(sum, padded));
      });
    }
    stream_fence();
  }

 private:
  // to = -radial v (+ dV as given).
  template <Isa isa>
  static ASSAY_INLINE void scale_row(const Arguments& a, std::int64_t row, float radial,
                                     float* to) {
    for (std::int64_t d = 0; d < a.dim; d += kPair<isa>) {
      const std::int64_t count = std::min<std::int64_t>(a.dim - d, kPair<isa>);
      Pair<isa> x = scale(load_as<isa, T>(a.v, row * a.dim + d, count), -radial);
      if (a.accumulate) {
        const Pair<isa> given = load_as<isa, T>(a.d_v, row * a.dim + d, count);
        x = {x.a + given.a, x.b + given.b};
      }
      store(to + d, x);
    }
  }
};

// dw = g⊙X, dg = w⊙X; `row` is scratch.
template <class T>
struct Finish {
  template <Isa isa>
  static ASSAY_INLINE void run(const Arguments* a, std::int64_t parts, float* row) {
    const std::int64_t padded = padded_dim(a->dim), stride = a->queries * padded;
    for (std::int64_t q = 0; q < a->queries; ++q) {
      float* const sum = a->x + q * padded;
      for (std::int64_t part = 1; part < parts; ++part)
        for (std::int64_t i = 0; i < padded; ++i) sum[i] += sum[part * stride + i];
      // Into the order of memory.
      const float one = 1;
      mix_rows<isa, 1, T>(sum, 1, padded, a->dim, &one, static_cast<const float*>(nullptr),
                          static_cast<const float*>(nullptr),
                          MixTarget{reinterpret_cast<char*>(row), 0, DType::f32, false, false});
      for (std::int64_t d = 0; d < a->dim; ++d) {
        const std::int64_t at = q * a->dim + d;
        put(a->d_w, at, a->g ? get(*a->g, at) * row[d] : row[d]);
        if (a->d_g) put(*a->d_g, at, get(a->w, at) * row[d]);
      }
    }
  }
};

namespace {

// Threads that have tokens.
std::int64_t parts_of(const Problem& p) {
  return std::min<std::int64_t>(num_threads(), p.dim("T"));
}

ASSAY_VARIANT(fused){
    .op = "attnres_bwd",
    .name = "fused",
    .summary = "one token at a time, V from memory once; dw summed in a fixed order",
    .numerics =
        [](const Problem& p) {
          const std::int64_t parts = parts_of(p);
          return Numerics{.summation_height = score_height(p.dim("D"), p.dtype_of("V")),
                          .batch_height = height(
                              p.dim("N") * ((p.dim("T") + parts - 1) / parts) + parts + 2, 1)};
        },
    .workspace =
        [](const Problem& p) {
          const std::int64_t weights = p.dim("Q") * padded_dim(p.dim("D"));
          return workspace_of(weights +
                              num_threads() *
                                  (weights + scratch_floats(p.dim("N"), p.dim("Q"), p.dim("D"))));
        },
    .prepare = [](const Problem& p, const Buffers& b) -> Launch {
      return dispatch(p.dtype_of("V"), [&](auto type) -> Launch {
        using T = typename decltype(type)::type;
        return [a = Arguments(p, b), parts = parts_of(p)](Stream) {
          run_simd<FoldWeights<T>>(&a.w, a.g ? &*a.g : nullptr, a.queries, a.dim, a.c);
          const std::int64_t x_size = a.queries * padded_dim(a.dim);
          parallel_for(a.tokens, 1, [&](std::int64_t begin, std::int64_t end, int part) {
            run_simd<Fused<T>>(&a, begin, end, a.x + part * x_size,
                               a.scratch + part * a.scratch_size);
          });
          run_simd<Finish<T>>(&a, parts, a.scratch);
        };
      });
    },
};

}  // namespace
}  // namespace assay::cpu::attnres_bwd_fused
