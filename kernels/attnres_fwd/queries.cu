// attnres_fwd/queries: all queries of a token at once, where it has few sources (phase 1 of the
// first blocks of a network). All rows of a token wait in the registers of its block; a row and a
// query have a lane of each warp, so that eight queries take one barrier and no online softmax.
// Versus fused: V from memory once instead of once for every four queries, nothing of it through
// shared memory. What it writes dominates, and short blocks write best: c is folded for each token,
// from L1. On an H100, T = 16384, D = 2048, Q = 8 in bf16: 218, 241, 304 and 308 µs for N = 1 to 4
// (fused: 241, 283, 323, 350). Blocks that stay, with c in shared memory and the next token's rows
// under way, took 241, 262, 284 and 308 µs. Loses to tensor_core_bulk from 5 sources on, which the
// registers of a thread do not hold.
#include "kernels/attnres_fwd/arguments.h"
#include "kernels/device/launch.h"
#include "kernels/device/math.h"
#include "kernels/device/slice.h"
#include "kernels/device/streaming.h"

namespace assay::ASSAY_TWIN::attnres_fwd_queries {

using namespace attnres_fwd;

constexpr int kQueries = 8;       // between two barriers
constexpr int kMaxThreads = 512;  // a thread has one 16-byte vector of each row

// kPlain: rows are aligned, w and O are of T like V, there is no g, and LSE is f32: no dtype is
// looked at in the kernel.
template <class T, int kRows, bool kPlain>
ASSAY_KERNEL(kMaxThreads)
void queries(Arguments<T> a, float inverse_dim) {
  constexpr int kSize = kVectorSize<T>, kWarps = kMaxThreads / kWarpSize;
  constexpr int kScores = kRows * kQueries;
  static_assert(kScores <= kWarpSize);
  // Σ c v of query i / kRows and row i % kRows, then Σ v² of each row.
  ASSAY_SHARED(partial, [2][kWarps][kScores + kRows], float);

  const Slice<T> slice = {a.dim, kPlain || a.aligned};
  const int lane = lane_index(), query = lane % kScores / kRows, row = lane % kRows;
  const int t = block_index();
  // Rows that are not aligned take two vectors a thread.
  Vector* const scratch = slice.aligned ? nullptr : dyn_shared<Vector>() + thread_index();

  // Without branches, so that nothing waits in between: of sources and queries that are not there
  // the last ones are asked for, and nothing is used but with weight zero.
  Vector v[kRows];
  ASSAY_UNROLL
  for (int r = 0; r < kRows; ++r) v[r] = slice.load_any(a.row(min(r, a.sources - 1), t), 0);
  float x[kRows][kSize], squares[kRows] = {};
  ASSAY_UNROLL
  for (int r = 0; r < kRows; ++r) {
    ASSAY_UNROLL
    for (int j = 0; j < kSize; ++j) {
      x[r][j] = element<T>(v[r].words, j);
      squares[r] += x[r][j] * x[r][j];
    }
  }
  const float square_part = warp_sum<kRows>(warp_sum_each(squares));

  int buffer = 0;  // two: one barrier a group is enough
  for (int first = 0; first < a.queries; first += kQueries, buffer ^= 1) {
    float dots[kScores] = {};
    ASSAY_UNROLL
    for (int q = 0; q < kQueries; ++q) {
      const int there = min(first + q, a.queries - 1);
      const std::int64_t w = a.w_row(there);
      float c[kSize] = {};
      if constexpr (kPlain) {
        const Vector words = slice.load(a.w.template as<T>() + w, 0);
        ASSAY_UNROLL
        for (int j = 0; j < kSize; ++j) c[j] = element<T>(words.words, j);
      } else {
        slice.fold_weights(a.w, w, a.g, a.g_row(there), 0, scratch, scratch + num_threads(), c);
      }
      ASSAY_UNROLL
      for (int r = 0; r < kRows; ++r) {
        ASSAY_UNROLL
        for (int j = 0; j < kSize; ++j) dots[q * kRows + r] += c[j] * x[r][j];
      }
    }
    const float part = warp_sum<kScores>(warp_sum_each(dots));
    float* const mine = partial[buffer][warp_index()];
    if (lane < kScores) mine[lane] = part;
    if (lane < kRows) mine[kScores + lane] = square_part;
    sync_threads();

    // Softmax over the rows, in every warp. A NaN passes the maximum but makes its weight, hence
    // the total, NaN.
    const float* const sums = partial[buffer][0];
    const float dot = sum_over_warps<kWarps>(sums + lane % kScores, kScores + kRows);
    const float square = sum_over_warps<kWarps>(sums + kScores + row, kScores + kRows);
    const float r = reciprocal_sqrt_positive(square * inverse_dim + a.eps);
    const float score = row < a.sources ? dot * (r * kLog2E) : minus_infinity();
    const float max = warp_max<1, kRows>(score);
    const float weight = exp2_approx(score - max);
    const float total = warp_sum<1, kRows>(weight);
    const float probability = weight * (1.0f / total);
    if (warp_index() == 0 && lane < kScores && row == 0 && first + query < a.queries) {
      const std::int64_t at = a.lse_at(first + query, t);
      const float lse = max * kLn2 + log_accurate(total);
      if constexpr (kPlain) {
        a.lse.template as<float>()[at] = lse;
      } else {
        a.lse.store(at, lse);
      }
    }

    // Mix.
    std::int64_t out = a.o_row(first, t);
    ASSAY_UNROLL
    for (int q = 0; q < kQueries; ++q, out += a.tokens * a.o_pitch) {
      float sum[kSize] = {};
      ASSAY_UNROLL
      for (int k = 0; k < kRows; ++k) {
        const float p = shuffle(probability, q * kRows + k);
        ASSAY_UNROLL
        for (int j = 0; j < kSize; ++j) sum[j] += p * x[k][j];
      }
      const bool wanted = first + q < a.queries;
      if constexpr (kPlain) {
        Vector words;
        store_elements(reinterpret_cast<T*>(&words), sum);
        if (wanted && slice.first(0) < a.dim) {
          store_streaming(a.o.template as<T>() + out + slice.first(0), words.words);
        }
      } else if (wanted) {
        slice.store(a.o, out, 0, sum);
      }
    }
  }
}

namespace {

constexpr std::int64_t kMostRows = 4;

std::int64_t threads_for(const Problem& p) {
  const auto vector = static_cast<std::int64_t>(sizeof(Vector) / size_of(p.dtype_of("V")));
  return round_up(ceil_div(p.dim("D"), vector), kWarpSize);
}

template <class T, bool kPlain>
auto kernel_for(std::int64_t sources) {
  return sources == 1   ? queries<T, 1, kPlain>
         : sources == 2 ? queries<T, 2, kPlain>
                        : queries<T, kMostRows, kPlain>;
}

template <class T>
Launch prepare(const Problem& p, const Buffers& buffers) {
  const Arguments<T> a = arguments<T>(p, buffers);
  const bool plain = a.aligned && a.w.dtype == dtype_of<T> && a.g.data == nullptr &&
                     a.o.dtype == dtype_of<T> && a.lse.dtype == DType::f32;
  const auto kernel = plain ? kernel_for<T, true>(a.sources) : kernel_for<T, false>(a.sources);
  const std::int64_t threads = threads_for(p);
  const std::int64_t shared =
      a.aligned ? 0 : 2 * threads * static_cast<std::int64_t>(sizeof(Vector));
  return [=](Stream stream) {
    launch(kernel,
           {.blocks = a.tokens,
            .threads = static_cast<int>(threads),
            .shared_bytes = shared,
            .stream = stream},
           a, 1.0f / static_cast<float>(a.dim));
  };
}

std::string unsupported(const Problem& p) {
  if (p.dim("N") > kMostRows) return "more than 4 sources";
  if (threads_for(p) > kMaxThreads) return "a row has more than 512 vectors of 16 bytes";
  return too_large(p);
}

Numerics numerics(const Problem& p) {
  // A thread's own sum, the tree of its warp, then one warp after the other.
  const auto vector = static_cast<std::int64_t>(sizeof(Vector) / size_of(p.dtype_of("V")));
  return {.summation_height = height(vector + 5 + threads_for(p) / kWarpSize, 1)};
}

}  // namespace

ASSAY_VARIANT(queries){
    .op = "attnres_fwd",
    .name = "queries",
    .summary = "all queries at once on at most 4 sources, which wait in registers",
    .backend = kTwinBackend,
    .arch = {.min = 80},
    .strided = true,
    .numerics = numerics,
    .unsupported = unsupported,
    .prepare =
        [](const Problem& p, const Buffers& buffers) {
          return dispatch(p.dtype_of("V"),
                          [&]<class T>(std::type_identity<T>) { return prepare<T>(p, buffers); });
        },
};

}  // namespace assay::ASSAY_TWIN::attnres_fwd_queries
