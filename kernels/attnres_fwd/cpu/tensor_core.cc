// attnres_fwd/tensor_core: scores and mix as matrix products of fp32 register tiles over panels.
// The rows of a few tokens are widened once into a contiguous panel that stays in the cache; all
// queries then use it. Versus fused: larger tiles, V converted once, and the maximum is known
// before the mix. Pays from about 8 queries on; with one, writing the panel costs half the speed.
#include "harness/core/parallel.h"
#include "harness/core/variant.h"
#include "kernels/attnres_fwd/cpu/rows.h"

namespace assay::cpu::attnres_fwd_tensor_core {

// Both products read the panel: it should stay in the second-level cache.
constexpr std::int64_t kPanelBytes = 256 << 10;

// The panel of one thread: rows of `tokens` tokens, the rows of a token together.
struct Panel {
  float* v;  // (tokens, N, padded D), 0 in the padding
  float* r;  // (tokens, N)
  float* s;  // Q / k groups of (tokens, N, k): logits, then weights
};

// Widens one row of `dim` elements; returns Σ v².
template <Isa isa, class T>
ASSAY_INLINE float pack_row(const T* row, std::int64_t dim, float* packed) {
  Pair<isa> square[2] = {};
  T copy[2 * kPair<isa>];
  for (std::int64_t d = 0; d < padded_dim(dim); d += 2 * kPair<isa>) {
    const std::int64_t count = std::max<std::int64_t>(dim - d, 0);
    const T* from = padded_columns<2 * kPair<isa>>(row + (count > 0 ? d : 0), count, copy);
    unroll<2>([&](auto u) ASSAY_INLINE_LAMBDA {
      const Pair<isa> x = load<isa>(from + u * kPair<isa>);
      multiply_add(square[u], x, x);
      store(packed + d + u * kPair<isa>, x);
    });
  }
  return sum<isa>((square[0].a + square[0].b) + (square[1].a + square[1].b));
}

// s (rows, kQueries) = panel (rows, D) · cᵀ (D, kQueries), in register tiles of up to 4 x 4 sums: 8
// loads for 16 multiply-adds.
template <int kQueries>
struct Scores {
  template <Isa isa>
  static ASSAY_INLINE void run(const float* panel, std::int64_t rows, std::int64_t padded,
                               const float* c, float* s) {
    constexpr int kTile = isa == Isa::avx512 ? 4 : 2;
    std::int64_t r = 0;
    for (; r + kTile <= rows; r += kTile) {
      tile<isa, kTile>(panel + r * padded, padded, c, s + r * kQueries);
    }
    for (; r < rows; ++r) tile<isa, 1>(panel + r * padded, padded, c, s + r * kQueries);
  }

 private:
  template <Isa isa, int kRows>
  static ASSAY_INLINE void tile(const float* panel, std::int64_t padded, const float* c, float* s) {
    Floats<isa> acc[kRows][kQueries] = {};
    for (std::int64_t d = 0; d < padded; d += simd_width(isa)) {
      Floats<isa> x[kRows];
      unroll<kRows>([&](auto r)
                        ASSAY_INLINE_LAMBDA { x[r] = read<Floats<isa>>(panel + r * padded + d); });
      unroll<kQueries>([&](auto q) ASSAY_INLINE_LAMBDA {
        const auto y = read<Floats<isa>>(c + q * padded + d);
        unroll<kRows>([&](auto r) ASSAY_INLINE_LAMBDA { acc[r][q] += x[r] * y; });
      });
    }
    unroll<kRows>([&](auto r) ASSAY_INLINE_LAMBDA {
      unroll<kQueries>([&](auto q)
                           ASSAY_INLINE_LAMBDA { s[r * kQueries + q] = sum<isa>(acc[r][q]); });
    });
  }
};

template <class T>
struct Gemm {
  // Tokens [begin, end), `tile` at a time.
  template <Isa isa>
  static ASSAY_INLINE void run(const Arguments* a, std::int64_t tile, std::int64_t begin,
                               std::int64_t end, float* scratch) {
    const std::int64_t padded = padded_dim(a->dim);
    const Panel panel = {scratch, scratch + tile * a->blocks * padded,
                         scratch + tile * a->blocks * (padded + 1)};
    for (std::int64_t t = begin; t < end; t += tile) {
      one_panel<isa>(*a, panel, t, std::min(tile, end - t));
    }
    stream_fence();
  }

 private:
  template <Isa isa>
  static ASSAY_INLINE void one_panel(const Arguments& a, const Panel& panel, std::int64_t t0,
                                     std::int64_t tokens) {
    const std::int64_t padded = padded_dim(a.dim), rows = tokens * a.blocks;

    // Pack. Token after token, each block's rows in turn.
    for (std::int64_t n = 0; n < a.blocks; ++n) {
      for (std::int64_t t = 0; t < tokens; ++t) {
        const T* row = a.v.as<const T>() + n * a.block_pitch + (t0 + t) * a.pitch;
        const std::int64_t at = t * a.blocks + n;
        panel.r[at] =
            rms_reciprocal(pack_row<isa>(row, a.dim, panel.v + at * padded), a.dim, a.eps);
      }
    }

    for_query_groups(a.queries, [&]<int kQueries>(std::int64_t q) ASSAY_INLINE_LAMBDA {
      // Scores.
      float* s = panel.s + q * rows;
      call_simd<Scores<kQueries>, isa>(static_cast<const float*>(panel.v), rows, padded,
                                       static_cast<const float*>(a.c + q * padded), s);

      // Softmax over each token's rows.
      for (std::int64_t i = 0; i < rows; ++i) {
        for (int j = 0; j < kQueries; ++j) s[i * kQueries + j] *= panel.r[i];
      }
      for (std::int64_t t = 0; t < tokens; ++t) {
        for (int j = 0; j < kQueries; ++j) {
          float* l = s + t * a.blocks * kQueries + j;
          const Softmax softmax = exponentiate(l, a.blocks, kQueries, {});
          normalise(l, a.blocks, kQueries, softmax);
          put(a.lse, a.lse_at(q + j, t0 + t), log_sum_exp(softmax));
        }
      }

      // Mix: (Q, N) by (N, D) for each token.
      for (std::int64_t t = 0; t < tokens; ++t) {
        mix_rows<isa, kQueries, T>(static_cast<const float*>(panel.v) + t * a.blocks * padded,
                                   a.blocks, padded, a.dim, s + t * a.blocks * kQueries, nullptr,
                                   nullptr, to_output(a, q, t0 + t));
      }
    });
  }
};

namespace {

std::int64_t tile_tokens(const Problem& p) {
  const std::int64_t token = p.dim("N") * padded_dim(p.dim("D")) * std::int64_t{sizeof(float)};
  return std::clamp<std::int64_t>(kPanelBytes / token, 1, p.dim("T"));
}

std::int64_t panel_floats(const Problem& p) {
  return tile_tokens(p) * p.dim("N") * (padded_dim(p.dim("D")) + 1 + p.dim("Q"));
}

ASSAY_VARIANT(tensor_core){
    .op = "attnres_fwd",
    .name = "tensor_core",
    .summary = "scores and mix as tiled matrix products over packed panels",
    .strided = true,
    .numerics =
        [](const Problem& p) {
          return Numerics{.summation_height = height(p.dim("D"), simd_width(best_isa()))};
        },
    .workspace =
        [](const Problem& p) {
          return workspace_of(weight_floats(p) + num_threads() * panel_floats(p));
        },
    .prepare = [](const Problem& p, const Buffers& b) -> Launch {
      return dispatch(p.dtype_of("V"), [&](auto type) -> Launch {
        using T = typename decltype(type)::type;
        return [a = Arguments(p, b), tile = tile_tokens(p), floats = panel_floats(p)](Stream) {
          fold_weights<T>(a);
          parallel_for(a.tokens, 1, [&](std::int64_t begin, std::int64_t end, int part) {
            run_simd<Gemm<T>>(&a, tile, begin, end, a.scratch + part * floats);
          });
        };
      });
    },
};

}  // namespace
}  // namespace assay::cpu::attnres_fwd_tensor_core
