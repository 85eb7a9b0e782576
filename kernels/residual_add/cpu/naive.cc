// residual_add/naive: one pass, a pair of vectors at a time.
#include <algorithm>

#include "harness/core/parallel.h"
#include "kernels/device/cpu_rows.h"

namespace assay::cpu::residual_add_naive {

namespace {

struct Arguments {
  const TensorView *p, *u;  // (T, D); null: zeros
  TensorView r;             // (T, D)
  std::int64_t dim;
};

// T: of R.
template <class T>
struct Add {
  template <Isa isa>
  static ASSAY_INLINE void run(const Arguments* a, std::int64_t begin, std::int64_t end,
                               float* row) {
    const bool stream = goes_past_cache(a->r, 3 * a->r.spec.bytes());
    for (std::int64_t t = begin; t < end; ++t) {
      for (std::int64_t d = 0; d < a->dim; d += kPair<isa>) {
        const std::int64_t count = std::min<std::int64_t>(kPair<isa>, a->dim - d);
        Pair<isa> x = {}, y = {};
        if (a->p) x = load_as<isa, T>(*a->p, t * a->dim + d, count);
        if (a->u) y = load_as<isa, T>(*a->u, t * a->dim + d, count);
        // One rounding to R, whatever the inputs' bits.
        store(row + d, sizeof(T) == 4 ? Pair<isa>{x.a + y.a, x.b + y.b}
                                      : Pair<isa>{add_to_odd(x.a, y.a), add_to_odd(x.b, y.b)});
      }
      const auto width = a->dim * static_cast<std::int64_t>(sizeof(T));
      store_row<isa, T>(a->r.as<char>() + t * width, dtype_of<T>, row, a->dim, stream);
    }
    stream_fence();
  }
};

}  // namespace

ASSAY_VARIANT(naive){
    .op = "residual_add",
    .name = "naive",
    .summary = "one pass",
    .repeatability = Repeatability::batch_invariant,
    .numerics = [](const Problem&) { return Numerics{}; },
    .workspace =
        [](const Problem& p) { return workspace_of(num_threads() * padded_dim(p.dim("D"))); },
    .prepare = [](const Problem& p, const Buffers& b) -> Launch {
      return dispatch(p.dtype_of("R"), [&](auto type) -> Launch {
        using T = typename decltype(type)::type;
        return [buffers = b, tokens = p.dim("T"), dim = p.dim("D")](Stream) {
          const Arguments a = {buffers.find("P"), buffers.find("U"), buffers["R"], dim};
          auto* const scratch = static_cast<float*>(buffers.workspace);
          parallel_for(tokens, 1, [&](std::int64_t begin, std::int64_t end, int part) {
            run_simd<Add<T>>(&a, begin, end, scratch + part * padded_dim(dim));
          });
        };
      });
    },
};

}  // namespace assay::cpu::residual_add_naive
