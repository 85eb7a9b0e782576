// attnres_merge_fwd/naive: one pass for each step with its result in memory, as eager frameworks
// do: update, 1/rms, logits, weights, mix. Reads P three times; the baseline that fused must beat.
#include "harness/core/parallel.h"
#include "kernels/attnres_merge_fwd/cpu/rows.h"

namespace assay::cpu::attnres_merge_fwd_naive {

using namespace attnres_merge_fwd;

template <class T>
struct Update {
  template <Isa isa>
  static ASSAY_INLINE void run(const Arguments* a, std::int64_t begin, std::int64_t end,
                               float* row) {
    for (std::int64_t t = begin; t < end; ++t) update_row<isa, T>(*a, t, row);
  }
};

// r (T) = 1/√(mean_d P² + eps).
template <class T>
struct Norm {
  template <Isa isa>
  static ASSAY_INLINE void run(const Arguments* a, float* r, std::int64_t begin, std::int64_t end) {
    score_rows<isa, 0>(a->row<const T>(begin), end - begin, a->dim, a->dim, nullptr, r + begin,
                       nullptr);
    for (std::int64_t t = begin; t < end; ++t) r[t] = rms_reciprocal(r[t], a->dim, a->eps);
  }
};

// l (T) = r Σ_d c P.
template <class T>
struct Logits {
  template <Isa isa>
  static ASSAY_INLINE void run(const Arguments* a, const float* r, float* l, std::int64_t begin,
                               std::int64_t end) {
    score_rows<isa, 1, false>(a->row<const T>(begin), end - begin, a->dim, a->dim, a->c, nullptr,
                              l + begin);
    for (std::int64_t t = begin; t < end; ++t) l[t] *= r[t];
  }
};

template <class T>
struct Mix {
  template <Isa isa>
  static ASSAY_INLINE void run(const Arguments* a, const float* beta, std::int64_t begin,
                               std::int64_t end, float* row) {
    for (std::int64_t t = begin; t < end; ++t) mix_row<isa, T>(*a, t, beta[t], row);
    stream_fence();
  }
};

namespace {

template <class T>
void launch(const Arguments& a) {
  float* const r = a.scratch;
  float* const l = r + a.tokens;  // then β
  float* const rows = l + a.tokens;
  const auto row = [&](int part) { return rows + part * padded_dim(a.dim); };
  fold_weights<T>(a);
  if (a.u) {
    parallel_for(a.tokens, 1, [&](std::int64_t begin, std::int64_t end, int part) {
      run_simd<Update<T>>(&a, begin, end, row(part));
    });
  }
  parallel_for(a.tokens, 1,
               [&](std::int64_t begin, std::int64_t end) { run_simd<Norm<T>>(&a, r, begin, end); });
  parallel_for(a.tokens, 1, [&](std::int64_t begin, std::int64_t end) {
    run_simd<Logits<T>>(&a, static_cast<const float*>(r), l, begin, end);
  });
  parallel_for(a.tokens, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t t = begin; t < end; ++t) {
      const Weights weights = weigh(l[t], get(a.l1, t));
      put(a.lse, t, weights.lse);
      l[t] = weights.beta;
    }
  });
  parallel_for(a.tokens, 1, [&](std::int64_t begin, std::int64_t end, int part) {
    run_simd<Mix<T>>(&a, static_cast<const float*>(l), begin, end, row(part));
  });
}

ASSAY_VARIANT(naive){
    .op = "attnres_merge_fwd",
    .name = "naive",
    .summary = "one pass a step, intermediates through memory",
    .repeatability = Repeatability::batch_invariant,
    .numerics =
        [](const Problem& p) {
          return Numerics{.summation_height = score_height(p.dim("D"), p.dtype_of("P"))};
        },
    .workspace =
        [](const Problem& p) {
          return workspace_of((1 + num_threads()) * padded_dim(p.dim("D")) + 2 * p.dim("T"));
        },
    .prepare = [](const Problem& p, const Buffers& b) -> Launch {
      return dispatch(p.dtype_of("P"), [&](auto type) -> Launch {
        using T = typename decltype(type)::type;
        return [a = Arguments(p, b)](Stream) { launch<T>(a); };
      });
    },
};

}  // namespace
}  // namespace assay::cpu::attnres_merge_fwd_naive
