// attnres_merge_fwd/fused: one token at a time; its rows come from memory once, P is updated,
// scored and mixed out of the cache. Versus naive: one pass over P and O1 in memory instead of
// three.
#include "harness/core/parallel.h"
#include "kernels/attnres_merge_fwd/cpu/rows.h"

namespace assay::cpu::attnres_merge_fwd_fused {

using namespace attnres_merge_fwd;

template <class T>
struct Fused {
  template <Isa isa>
  static ASSAY_INLINE void run(const Arguments* a, std::int64_t begin, std::int64_t end,
                               float* row) {
    for (std::int64_t t = begin; t < end; ++t) {
      if (a->u) update_row<isa, T>(*a, t, row);
      float squares = 0, score = 0;
      score_rows<isa, 1>(a->row<const T>(t), 1, a->dim, a->dim, a->c, &squares, &score);
      const Weights weights = weigh(score * rms_reciprocal(squares, a->dim, a->eps), get(a->l1, t));
      put(a->lse, t, weights.lse);
      mix_row<isa, T>(*a, t, weights.beta, row);
    }
    stream_fence();
  }
};

namespace {

ASSAY_VARIANT(fused){
    .op = "attnres_merge_fwd",
    .name = "fused",
    .summary = "a token at a time, its rows read once",
    .repeatability = Repeatability::batch_invariant,
    .numerics =
        [](const Problem& p) {
          return Numerics{.summation_height = score_height(p.dim("D"), p.dtype_of("P"))};
        },
    .workspace =
        [](const Problem& p) { return workspace_of((1 + num_threads()) * padded_dim(p.dim("D"))); },
    .prepare = [](const Problem& p, const Buffers& b) -> Launch {
      return dispatch(p.dtype_of("P"), [&](auto type) -> Launch {
        using T = typename decltype(type)::type;
        return [a = Arguments(p, b)](Stream) {
          fold_weights<T>(a);
          parallel_for(a.tokens, 1, [&](std::int64_t begin, std::int64_t end, int part) {
            run_simd<Fused<T>>(&a, begin, end, a.scratch + part * padded_dim(a.dim));
          });
        };
      });
    },
};

}  // namespace
}  // namespace assay::cpu::attnres_merge_fwd_fused
