// attnres_fwd/fused: one token at a time; a chunk of its rows comes from memory once, is scored
// and then mixed out of the cache, under an online softmax from chunk to chunk.
// Versus naive: 1 pass over V in memory instead of 3. Loses to split_kv where many threads have few
// tokens, and to tensor_core from about 8 queries on, for whose products its tiles are too small.
#include "harness/core/parallel.h"
#include "harness/core/variant.h"
#include "kernels/attnres_fwd/cpu/rows.h"

namespace assay::cpu::attnres_fwd_fused {

// What is scored is mixed again at once: it should still be in the second-level cache, of which
// today's cores have 256 KiB or more. 9 rows of 7168 floats just fit.
constexpr std::int64_t kChunkBytes = 256 << 10;
constexpr std::int64_t kMaxChunk = 64;  // rows

// Queries [query, query + kQueries) on rows [begin, end) of token t. From chunk to chunk, `state`
// (Q) and `sum` (Q, padded D) keep the softmaxes and the mixes not yet divided by their totals.
template <Isa isa, int kQueries, class T>
ASSAY_INLINE void attend(const Arguments& a, std::int64_t t, std::int64_t query, std::int64_t begin,
                         std::int64_t end, Softmax* state, float* sum) {
  const std::int64_t rows = end - begin, stride = a.block_pitch, padded = padded_dim(a.dim);
  const bool first = begin == 0, last = end == a.blocks;
  const T* v = a.v.as<const T>() + begin * stride + t * a.pitch;

  // Scores.
  float r[kMaxChunk], weight[kMaxChunk * kQueries];
  score_rows<isa, kQueries>(v, rows, stride, a.dim, a.c + query * padded, r, weight);
  for (std::int64_t n = 0; n < rows; ++n) {
    r[n] = rms_reciprocal(r[n], a.dim, a.eps);
    for (int q = 0; q < kQueries; ++q) weight[n * kQueries + q] *= r[n];
  }

  // Online softmax: what was mixed before the maximum rose is scaled by `keep`.
  float keep[kQueries];
  for (int q = 0; q < kQueries; ++q) {
    const Softmax before = first ? Softmax{} : state[query + q];
    const Softmax now = exponentiate(weight + q, rows, kQueries, before);
    keep[q] = std::exp(before.max - now.max);
    if (last) {
      normalise(weight + q, rows, kQueries, now);
      keep[q] /= now.total;
      put(a.lse, a.lse_at(query + q, t), log_sum_exp(now));
    } else {
      state[query + q] = now;
    }
  }

  // Mix, into O when these are the last rows.
  float* mixed = sum + query * padded;
  mix_rows<isa, kQueries, T>(v, rows, stride, a.dim, weight, keep, first ? nullptr : mixed,
                             last ? to_output(a, query, t) : to_scratch(mixed, padded));
}

template <class T>
struct Fused {
  template <Isa isa>
  static ASSAY_INLINE void run(const Arguments* a, std::int64_t chunk, std::int64_t begin,
                               std::int64_t end, float* scratch) {
    float* sum = scratch;
    auto* state = reinterpret_cast<Softmax*>(scratch + a->queries * padded_dim(a->dim));
    for (std::int64_t t = begin; t < end; ++t) {
      for (std::int64_t n = 0; n < a->blocks; n += chunk) {
        const std::int64_t n_end = std::min(n + chunk, a->blocks);
        for_query_groups(a->queries, [&]<int kQueries>(std::int64_t q) ASSAY_INLINE_LAMBDA {
          attend<isa, kQueries, T>(*a, t, q, n, n_end, state, sum);
        });
      }
    }
    stream_fence();
  }
};

namespace {

std::int64_t chunk_rows(const Problem& p) {
  const auto row = p.dim("D") * static_cast<std::int64_t>(size_of(p.dtype_of("V")));
  return std::clamp<std::int64_t>(kChunkBytes / row, 1, std::min(p.dim("N"), kMaxChunk));
}

// Of one thread: sum and state.
std::int64_t scratch_floats(const Problem& p) { return weight_floats(p) + 2 * p.dim("Q"); }

ASSAY_VARIANT(fused){
    .op = "attnres_fwd",
    .name = "fused",
    .summary = "online softmax over chunks of rows, V read once",
    .strided = true,
    .numerics =
        [](const Problem& p) {
          const std::int64_t chunk = chunk_rows(p);
          return Numerics{.summation_height = score_height(p.dim("D"), p.dtype_of("V")),
                          .rescales = static_cast<double>((p.dim("N") + chunk - 1) / chunk - 1)};
        },
    .workspace =
        [](const Problem& p) {
          return workspace_of(weight_floats(p) + num_threads() * scratch_floats(p));
        },
    .prepare = [](const Problem& p, const Buffers& b) -> Launch {
      return dispatch(p.dtype_of("V"), [&](auto type) -> Launch {
        using T = typename decltype(type)::type;
        return [a = Arguments(p, b), chunk = chunk_rows(p), floats = scratch_floats(p)](Stream) {
          fold_weights<T>(a);
          parallel_for(a.tokens, 1, [&](std::int64_t begin, std::int64_t end, int part) {
            run_simd<Fused<T>>(&a, chunk, begin, end, a.scratch + part * floats);
          });
        };
      });
    },
};

}  // namespace
}  // namespace assay::cpu::attnres_fwd_fused
