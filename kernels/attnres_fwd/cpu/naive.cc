// attnres_fwd/naive: one pass for each step with its result in memory, as eager frameworks do:
// 1/rms, logits, softmax weights, mix. Reads V three times; the baseline that the others must beat.
#include "harness/core/parallel.h"
#include "harness/core/variant.h"
#include "kernels/attnres_fwd/cpu/rows.h"

namespace assay::cpu::attnres_fwd_naive {

// r (N, T) = 1/√(mean_d V² + eps), rows [begin, end) of N·T.
template <class T>
struct Norm {
  template <Isa isa>
  static ASSAY_INLINE void run(const Arguments* a, float* r, std::int64_t begin, std::int64_t end) {
    const T* v = a->v.as<const T>() + begin * a->pitch;
    score_rows<isa, 0>(v, end - begin, a->pitch, a->dim, nullptr, r + begin, nullptr);
    for (std::int64_t i = begin; i < end; ++i) r[i] = rms_reciprocal(r[i], a->dim, a->eps);
  }
};

// l (Q, T, N) = r Σ_d c V, tokens [begin, end).
template <class T>
struct Logits {
  template <Isa isa>
  static ASSAY_INLINE void run(const Arguments* a, const float* r, float* l, std::int64_t begin,
                               std::int64_t end) {
    for (std::int64_t t = begin; t < end; ++t) {
      for (std::int64_t q = 0; q < a->queries; ++q) {
        float* logit = l + (q * a->tokens + t) * a->blocks;
        score_rows<isa, 1, false>(a->v.as<const T>() + t * a->pitch, a->blocks, a->block_pitch,
                                  a->dim, a->c + q * padded_dim(a->dim), nullptr, logit);
        for (std::int64_t n = 0; n < a->blocks; ++n) logit[n] *= r[n * a->tokens + t];
      }
    }
  }
};

// O (Q, T, D) = Σ_n weight V, tokens [begin, end).
template <class T>
struct Mix {
  template <Isa isa>
  static ASSAY_INLINE void run(const Arguments* a, const float* weight, std::int64_t begin,
                               std::int64_t end) {
    for (std::int64_t t = begin; t < end; ++t) {
      for (std::int64_t q = 0; q < a->queries; ++q) {
        mix_rows<isa, 1, T>(a->v.as<const T>() + t * a->pitch, a->blocks, a->block_pitch, a->dim,
                            weight + (q * a->tokens + t) * a->blocks, nullptr, nullptr,
                            to_output(*a, q, t));
      }
    }
    stream_fence();
  }
};

namespace {

// l becomes the weights softmax_n(l), in rows [begin, end) of Q·T; LSE.
void softmax(const Arguments& a, float* l, std::int64_t begin, std::int64_t end) {
  for (std::int64_t i = begin; i < end; ++i) {
    const Softmax s = exponentiate(l + i * a.blocks, a.blocks, 1, {});
    normalise(l + i * a.blocks, a.blocks, 1, s);
    put(a.lse, a.lse_at(i / a.tokens, i % a.tokens), log_sum_exp(s));
  }
}

template <class T>
void launch(const Arguments& a) {
  float* r = a.scratch;
  float* l = r + a.blocks * a.tokens;
  fold_weights<T>(a);
  parallel_for(a.blocks * a.tokens, 1,
               [&](std::int64_t begin, std::int64_t end) { run_simd<Norm<T>>(&a, r, begin, end); });
  parallel_for(a.tokens, 1, [&](std::int64_t begin, std::int64_t end) {
    run_simd<Logits<T>>(&a, static_cast<const float*>(r), l, begin, end);
  });
  parallel_for(a.queries * a.tokens, 1,
               [&](std::int64_t begin, std::int64_t end) { softmax(a, l, begin, end); });
  parallel_for(a.tokens, 1, [&](std::int64_t begin, std::int64_t end) {
    run_simd<Mix<T>>(&a, static_cast<const float*>(l), begin, end);
  });
}

ASSAY_VARIANT(naive){
    .op = "attnres_fwd",
    .name = "naive",
    .summary = "one pass a step, intermediates through memory",
    .strided = true,
    .numerics =
        [](const Problem& p) {
          return Numerics{.summation_height = score_height(p.dim("D"), p.dtype_of("V"))};
        },
    .workspace =
        [](const Problem& p) {
          return workspace_of(weight_floats(p) + p.dim("N") * p.dim("T") * (1 + p.dim("Q")));
        },
    .prepare = [](const Problem& p, const Buffers& b) -> Launch {
      return dispatch(p.dtype_of("V"), [&](auto type) -> Launch {
        using T = typename decltype(type)::type;
        return [a = Arguments(p, b)](Stream) { launch<T>(a); };
      });
    },
};

}  // namespace
}  // namespace assay::cpu::attnres_fwd_naive
