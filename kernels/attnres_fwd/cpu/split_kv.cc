// attnres_fwd/split_kv: the rows of a token are split among threads; each part leaves its softmax
// and its mix, and a second step merges them in a fixed order. Versus fused: all threads work on a
// few tokens (decoding). Needs several threads to repay the partial mixes: on one it is 40 % slower
// (bf16, N=9, D=7168, T=1). From 16 tokens on there is one part each, as in fused without chunks.
#include "harness/core/parallel.h"
#include "harness/core/variant.h"
#include "kernels/attnres_fwd/cpu/rows.h"

namespace assay::cpu::attnres_fwd_split_kv {

// Parts of all tokens together. Depends on nothing but the problem, and so do the results: not on
// the number of threads.
constexpr std::int64_t kTasks = 16;
constexpr std::int64_t kMinRows = 2;  // of a part: its mix in fp32 costs as much as two bf16 rows
constexpr std::int64_t kMaxRows = 64;

struct Partials {
  std::int64_t splits;
  float* mix;    // (T, Q, splits, padded D): Σ e^(l - max) V over the rows of a part
  float* max;    // (T, Q, splits)
  float* total;  // (T, Q, splits): Σ e^(l - max)
};

template <class T>
struct Part {
  // Tasks [begin, end) of T·splits.
  template <Isa isa>
  static ASSAY_INLINE void run(const Arguments* a, Partials partials, std::int64_t begin,
                               std::int64_t end) {
    for (std::int64_t task = begin; task < end; ++task) {
      for_query_groups(a->queries, [&]<int kQueries>(std::int64_t q) ASSAY_INLINE_LAMBDA {
        attend<isa, kQueries>(*a, partials, task / partials.splits, task % partials.splits, q);
      });
    }
    stream_fence();
  }

 private:
  template <Isa isa, int kQueries>
  static ASSAY_INLINE void attend(const Arguments& a, const Partials& partials, std::int64_t t,
                                  std::int64_t split, std::int64_t query) {
    const std::int64_t begin = a.blocks * split / partials.splits;
    const std::int64_t rows = a.blocks * (split + 1) / partials.splits - begin;
    const std::int64_t stride = a.block_pitch, padded = padded_dim(a.dim);
    const T* v = a.v.as<const T>() + begin * stride + t * a.pitch;

    // Scores.
    float r[kMaxRows], weight[kMaxRows * kQueries];
    score_rows<isa, kQueries>(v, rows, stride, a.dim, a.c + query * padded, r, weight);
    for (std::int64_t n = 0; n < rows; ++n) {
      r[n] = rms_reciprocal(r[n], a.dim, a.eps);
      for (int q = 0; q < kQueries; ++q) weight[n * kQueries + q] *= r[n];
    }

    // Softmax of this part; final when it is the only one.
    for (int q = 0; q < kQueries; ++q) {
      const Softmax softmax = exponentiate(weight + q, rows, kQueries, {});
      if (partials.splits == 1) {
        normalise(weight + q, rows, kQueries, softmax);
        put(a.lse, a.lse_at(query + q, t), log_sum_exp(softmax));
      } else {
        const std::int64_t at = (t * a.queries + query + q) * partials.splits + split;
        partials.max[at] = softmax.max;
        partials.total[at] = softmax.total;
      }
    }

    // Mix.
    float* mixed = partials.mix + ((t * a.queries + query) * partials.splits + split) * padded;
    const MixTarget out =
        partials.splits == 1 ? to_output(a, query, t) : to_scratch(mixed, partials.splits * padded);
    mix_rows<isa, kQueries, T>(v, rows, stride, a.dim, weight, nullptr, nullptr, out);
  }
};

// O = Σ_s e^(max_s - max) mix_s / Σ_s e^(max_s - max) total_s, rows [begin, end) of T·Q.
template <class T>
struct Merge {
  template <Isa isa>
  static ASSAY_INLINE void run(const Arguments* a, Partials partials, std::int64_t begin,
                               std::int64_t end) {
    const std::int64_t splits = partials.splits, padded = padded_dim(a->dim);
    for (std::int64_t i = begin; i < end; ++i) {
      float* weight = partials.max + i * splits;  // of each part, in the place of its maximum
      Softmax all;
      for (std::int64_t s = 0; s < splits; ++s) all.max = std::max(all.max, weight[s]);
      for (std::int64_t s = 0; s < splits; ++s) {
        weight[s] = std::exp(weight[s] - all.max);
        all.total += weight[s] * partials.total[i * splits + s];
      }
      normalise(weight, splits, 1, all);
      const std::int64_t t = i / a->queries, q = i % a->queries;
      put(a->lse, a->lse_at(q, t), log_sum_exp(all));
      mix_rows<isa, 1, T>(static_cast<const float*>(partials.mix) + i * splits * padded, splits,
                          padded, a->dim, weight, nullptr, nullptr, to_output(*a, q, t));
    }
    stream_fence();
  }
};

namespace {

std::int64_t num_splits(const Problem& p) {
  const auto ceil_div = [](std::int64_t a, std::int64_t b) { return (a + b - 1) / b; };
  return std::clamp(ceil_div(kTasks, p.dim("T")), ceil_div(p.dim("N"), kMaxRows),
                    ceil_div(p.dim("N"), kMinRows));
}

std::int64_t partial_rows(const Problem& p) {
  const std::int64_t splits = num_splits(p);
  return splits == 1 ? 0 : p.dim("T") * p.dim("Q") * splits;
}

template <class T>
void launch(const Arguments& a, std::int64_t splits, std::int64_t rows) {
  float* max = a.scratch + rows * padded_dim(a.dim);
  const Partials partials = {splits, a.scratch, max, max + rows};
  fold_weights<T>(a);
  parallel_for(a.tokens * splits, 1, [&](std::int64_t begin, std::int64_t end) {
    run_simd<Part<T>>(&a, partials, begin, end);
  });
  if (splits == 1) return;
  parallel_for(a.tokens * a.queries, 1, [&](std::int64_t begin, std::int64_t end) {
    run_simd<Merge<T>>(&a, partials, begin, end);
  });
}

ASSAY_VARIANT(split_kv){
    .op = "attnres_fwd",
    .name = "split_kv",
    .summary = "rows of a token split among threads, partial results merged",
    .strided = true,
    .numerics =
        [](const Problem& p) {
          return Numerics{.summation_height = score_height(p.dim("D"), p.dtype_of("V")),
                          .rescales = num_splits(p) > 1 ? 1.0 : 0.0};
        },
    .workspace =
        [](const Problem& p) {
          return workspace_of(weight_floats(p) + partial_rows(p) * (padded_dim(p.dim("D")) + 2));
        },
    .prepare = [](const Problem& p, const Buffers& b) -> Launch {
      return dispatch(p.dtype_of("V"), [&](auto type) -> Launch {
        using T = typename decltype(type)::type;
        return [a = Arguments(p, b), splits = num_splits(p), rows = partial_rows(p)](Stream) {
          launch<T>(a, splits, rows);
        };
      });
    },
};

}  // namespace
}  // namespace assay::cpu::attnres_fwd_split_kv
