// attnres_fwd/fused: a block keeps one token's output in registers and streams the token's sources
// past it: each row of V comes from memory once and serves its norm, its scores and the mix, with
// an online softmax over depth. Versus naive: one pass over V instead of 1 + 2Q. Loses its lead
// where tokens are fewer than multiprocessors, and where many queries make it compute-bound.
#include "kernels/attnres_fwd/slice.h"
#include "kernels/device/launch.h"
#include "kernels/device/math.h"

namespace assay::ASSAY_TWIN::attnres_fwd_fused {

using namespace attnres_fwd;

constexpr int kMaxRows =
    4;  // of V between two block reductions; the softmax has a lane for each row and query

// What determines registers: the hidden elements that a thread owns, the queries answered at once,
// and how many chunks of rows the ring in shared memory holds (one being worked on, the others
// under way).
template <int kElements_, int kQueries_, int kStages_, int kMaxThreads_, int kMinBlocks_ = 1>
struct Shape {
  static constexpr int kElements = kElements_, kQueries = kQueries_, kStages = kStages_;
  static constexpr int kMaxThreads = kMaxThreads_, kMinBlocks = kMinBlocks_;
};

// How a problem is cut; see `choose` and `configurations`.
struct Config {
  int elements, queries, stages;  // select the Shape
  int threads;                    // threads * elements >= D
  int rows;                       // a chunk's, at most kMaxRows
};

// Blocks take tokens in turn; block b answers the queries of group b % groups, so that the groups
// of a token run side by side and V comes from L2 for all but one.
template <class T, class S>
ASSAY_KERNEL(S::kMaxThreads, S::kMinBlocks)
void fused(Arguments<T> a, int rows, int groups) {
  constexpr int kSize = kVectorSize<T>, kVectors = S::kElements / kSize, kQueries = S::kQueries;
  constexpr int kSlots = kQueries == 1   ? 1
                         : kQueries <= 4 ? 4
                                         : 8;  // lanes for the queries of a row
  constexpr int kScores = kMaxRows * kSlots, kWarps = S::kMaxThreads / kWarpSize;
  ASSAY_SHARED(partial, [2][kWarps][kScores + kMaxRows], float);

  const Slice<T> slice = {a.dim, a.aligned};
  const int lane = lane_index();
  const int query = block_index() % groups * kQueries;  // the group's first
  const int tokens = static_cast<int>(a.tokens);        // at most 2^30, see too_large
  const int first_token = block_index() / groups, token_step = num_blocks() / groups;

  // A thread reads back from the ring only what it copied itself: the ring needs no barrier.
  Vector* ring = dyn_shared<Vector>() + thread_index();
  const int row_vectors = kVectors * num_threads(), stage_vectors = rows * row_vectors;
  const auto at = [&](int stage, int r, int i) {
    return ring + stage * stage_vectors + r * row_vectors + i * num_threads();
  };

  Weights<T, kVectors, kQueries> weights = {ring + S::kStages * stage_vectors};
  fold_weights(a, slice, query, kQueries, weights, ring, stage_vectors);

  // Chunks are fetched in the order in which they are needed, across the ends of tokens.
  int next_token = first_token, next_row = 0;
  const auto fetch_next = [&](int stage) {
    if (next_token < tokens) {
      ASSAY_NO_UNROLL
      for (int r = 0; r < rows && next_row + r < a.sources; ++r) {
        const T* row = a.row(next_row + r, next_token);
        ASSAY_UNROLL
        for (int i = 0; i < kVectors; ++i) slice.fetch(at(stage, r, i), row, i);
      }
      next_row += rows;
      if (next_row >= a.sources) {
        next_row = 0;
        next_token += token_step;
      }
    }
    commit_async();
  };
  ASSAY_UNROLL
  for (int s = 0; s < S::kStages; ++s) fetch_next(s);

  int stage = 0, buffer = 0;
  for (int t = first_token; t < tokens; t += token_step) {
    float sum[kQueries][S::kElements] = {};  // Σ p V, of this thread's slice
    float max = minus_infinity(),
          total = 0;  // of query lane % kSlots, base 2; the same in every warp

    for (int first_row = 0; first_row < a.sources; first_row += rows) {
      const int present = min(rows, a.sources - first_row);
      wait_async<S::kStages - 1>();

      // Scores and squares of the chunk's rows, this thread's part.
      float dots[kScores] = {}, squares[kMaxRows] = {};
      ASSAY_UNROLL
      for (int i = 0; i < kVectors; ++i) {
        ASSAY_UNROLL
        for (int p = 0; p < kSize / 4; ++p) {
          float c[kQueries][4];
          ASSAY_UNROLL
          for (int q = 0; q < kQueries; ++q) weights.get(q, i, p, c[q]);
          ASSAY_UNROLL
          for (int r = 0; r < kMaxRows; ++r) {
            if (r >= present) break;
            float x[4];
            load_elements(reinterpret_cast<const T*>(at(stage, r, i)) + 4 * p, x);
            ASSAY_UNROLL
            for (int j = 0; j < 4; ++j) squares[r] += x[j] * x[j];
            ASSAY_UNROLL
            for (int q = 0; q < kQueries; ++q) {
              ASSAY_UNROLL
              for (int j = 0; j < 4; ++j) dots[r * kSlots + q] += c[q][j] * x[j];
            }
          }
        }
      }

      // Block sums; lane i gets the score of row i / kSlots, query i % kSlots. Two buffers: one
      // barrier a chunk is enough.
      const float dot_part = warp_sum<kScores>(warp_sum_each(dots));
      const float square_part = warp_sum<kMaxRows>(warp_sum_each(squares));
      float* mine = partial[buffer][warp_index()];
      if (lane < kScores) mine[lane] = dot_part;
      if (lane < kMaxRows) mine[kScores + lane] = square_part;
      sync_threads();
      const int slot = lane % kScores, row = slot / kSlots;
      const float* const sums = partial[buffer][0];
      const float dot = sum_over_warps<kWarps>(sums + slot, kScores + kMaxRows);
      const float square = sum_over_warps<kWarps>(sums + kScores + row, kScores + kMaxRows);
      buffer ^= 1;

      // Online softmax. A NaN score passes the maximum but makes its weight, hence `total` and
      // `sum`, NaN for good.
      const float r = reciprocal_sqrt(square / static_cast<float>(a.dim) + a.eps);
      const float score = row < present ? dot * (r * kLog2E) : minus_infinity();
      const float new_max = maximum(max, warp_max<kSlots, kScores>(score));
      const float weight = exp2_approx(score - new_max);
      const float rescale = exp2_approx(max - new_max);
      total = total * rescale + warp_sum<kSlots, kScores>(weight);
      max = new_max;

      // Mix.
      ASSAY_UNROLL
      for (int q = 0; q < kQueries; ++q) {
        const float factor = shuffle(rescale, q);
        ASSAY_UNROLL
        for (int e = 0; e < S::kElements; ++e) sum[q][e] *= factor;
      }
      ASSAY_UNROLL
      for (int k = 0; k < kMaxRows; ++k) {
        if (k >= present) break;
        float p[kQueries];
        ASSAY_UNROLL
        for (int q = 0; q < kQueries; ++q) p[q] = shuffle(weight, k * kSlots + q);
        ASSAY_UNROLL
        for (int i = 0; i < kVectors; ++i) {
          float x[kSize];
          load_elements(reinterpret_cast<const T*>(at(stage, k, i)), x);
          ASSAY_UNROLL
          for (int q = 0; q < kQueries; ++q) {
            ASSAY_UNROLL
            for (int j = 0; j < kSize; ++j) sum[q][i * kSize + j] += p[q] * x[j];
          }
        }
      }

      fetch_next(stage);
      stage = stage + 1 == S::kStages ? 0 : stage + 1;
    }

    // O and LSE.
    std::int64_t out = a.o_row(query, t);
    ASSAY_UNROLL
    for (int q = 0; q < kQueries; ++q, out += a.tokens * a.o_pitch) {
      const float scale = 1.0f / shuffle(total, q);
      if (query + q >= a.queries) break;
      ASSAY_UNROLL
      for (int i = 0; i < kVectors; ++i) {
        float x[kSize];
        ASSAY_UNROLL
        for (int j = 0; j < kSize; ++j) x[j] = sum[q][i * kSize + j] * scale;
        slice.store(a.o, out, i, x);
      }
    }
    if (thread_index() < kQueries && query + lane < a.queries) {
      a.lse.store(a.lse_at(query + lane, t), max * kLn2 + log_accurate(total));
    }
  }
}

// Rows too wide for the registers of a block: one block per query and token, first all scores, then
// the mix; V twice.
constexpr int kWideThreads = 512;
template <class T>
ASSAY_KERNEL(kWideThreads)
void wide(Arguments<T> a, float* scores) {
  const std::int64_t columns = a.queries * a.tokens;
  for (std::int64_t qt = block_index(); qt < columns; qt += num_blocks()) {
    const int q = static_cast<int>(qt / a.tokens);
    const std::int64_t t = qt % a.tokens;
    float* mine = scores + qt * a.sources;  // (Q, T, N)

    float max = minus_infinity(), total = 0;
    for (int n = 0; n < a.sources; ++n) {
      const T* row = a.row(n, t);
      float dot = 0, square = 0;
      for_each_part(a, 0, a.dim, [&]<int kCount>(int d, Count<kCount>) {
        float x[kCount], c[kCount];
        load_part(row, d, x);
        load_weights(a, q, d, c);
        ASSAY_UNROLL
        for (int j = 0; j < kCount; ++j) {
          dot += c[j] * x[j];
          square += x[j] * x[j];
        }
      });
      dot = block_sum(dot);
      square = block_sum(square);
      const float r = reciprocal_sqrt(square / static_cast<float>(a.dim) + a.eps);
      const float score = dot * (r * kLog2E);
      const float new_max = maximum(max, score);
      total = total * exp2_approx(max - new_max) + exp2_approx(score - new_max);
      max = new_max;
      if (thread_index() == 0) mine[n] = score;
    }
    sync_threads();

    const float scale = 1.0f / total;
    for_each_part(a, 0, a.dim, [&]<int kCount>(int d, Count<kCount>) {
      float sum[kCount] = {};
      for (int n = 0; n < a.sources; ++n) {
        const float weight = exp2_approx(mine[n] - max) * scale;
        float x[kCount];
        load_part(a.row(n, t), d, x);
        ASSAY_UNROLL
        for (int j = 0; j < kCount; ++j) sum[j] += weight * x[j];
      }
      store_part(a.o, a.o_row(q, t) + d, sum);
    });
    if (thread_index() == 0) a.lse.store(a.lse_at(q, t), max * kLn2 + log_accurate(total));
  }
}

namespace {

// All instantiations: calls f(Shape) for each.
template <class F>
void each_shape(const F& f) {
  f(Shape<8, 1, 2, 128>{});
  f(Shape<16, 1, 2, 128, 6>{});
  f(Shape<24, 1, 2, 128>{});
  f(Shape<32, 1, 2, 256, 2>{});
  f(Shape<16, 4, 2, 160>{});
  f(Shape<16, 3, 2, 160, 3>{});
  f(Shape<16, 2, 2, 256, 2>{});
}

// Calls f(Shape) with that of the config.
template <class F>
Launch with_shape(const Config& config, const F& f) {
  Launch result;
  each_shape([&]<class S>(S shape) {
    if (S::kElements == config.elements && S::kQueries == config.queries &&
        S::kStages == config.stages) {
      result = f(shape);
    }
  });
  return result;
}

// Dynamic shared memory of a block.
std::int64_t shared_bytes(const Config& c, DType v) {
  const std::int64_t row = static_cast<std::int64_t>(c.threads) * c.elements;
  const std::int64_t ring = c.stages * c.rows * row * static_cast<std::int64_t>(size_of(v));
  return ring + (c.queries > 1 ? c.queries * row * 4 : 0);
}

// Two blocks a multiprocessor with 228 KB (sm_90), less what each keeps besides.
std::int64_t shared_budget() {
  return std::min<std::int64_t>(108 << 10, max_shared_bytes() - (6 << 10));
}

// Nothing: the shape is too small for the rows of the problem.
template <class S>
std::optional<Config> fit(const Problem& p, int rows) {
  const std::int64_t threads = round_up(ceil_div(p.dim("D"), S::kElements), kWarpSize);
  const Config c = {S::kElements, S::kQueries, S::kStages, static_cast<int>(threads), rows};
  if (threads > S::kMaxThreads || shared_bytes(c, p.dtype_of("V")) > shared_budget()) return {};
  return c;
}

// What tuning tries: each shape that fits with each number of rows; several queries at once only
// where there are several.
std::vector<Configuration> configurations(const Problem& p) {
  std::vector<Configuration> all;
  each_shape([&]<class S>(S) {
    if (S::kQueries > p.dim("Q") || (S::kQueries == 1) != (p.dim("Q") == 1)) return;
    for (int rows = 1; rows <= std::min<std::int64_t>(kMaxRows, p.dim("N")); ++rows) {
      if (fit<S>(p, rows)) {
        all.push_back({{"elements", S::kElements}, {"queries", S::kQueries}, {"rows", rows}});
      }
    }
  });
  return all;
}

// Nothing: rows are too wide for one block.
std::optional<Config> choose(const Problem& p) {
  const auto fits = [&](std::int64_t elements, std::int64_t at_once, std::int64_t rows) {
    std::optional<Config> c;
    each_shape([&]<class S>(S) {
      if (S::kElements == elements && S::kQueries == at_once) c = fit<S>(p, static_cast<int>(rows));
    });
    return c;
  };
  const Configuration& asked = p.configuration;
  if (!asked.empty()) return fits(*asked["elements"], *asked["queries"], *asked["rows"]);
  const std::int64_t sources = p.dim("N"), queries = p.dim("Q");
  const auto widest = [&](int elements, std::int64_t at_once) {
    std::optional<Config> c;
    std::int64_t rows = ceil_div(sources, ceil_div(sources, kMaxRows));
    for (; rows > 0 && !c; --rows) c = fits(elements, at_once, rows);
    return c;
  };
  std::optional<Config> c;
  if (queries > 1) {
    // Groups of equal size: six queries are answered as 3 + 3, not 4 + 2.
    const std::int64_t at_once = ceil_div(queries, ceil_div(queries, 4));
    if (at_once > 2 && (c = widest(16, at_once))) return c;
    if ((c = widest(16, 2))) return c;
  }
  // Few threads with several vectors each wait less for each other than many with one.
  for (const int elements : {8, 16, 24}) {
    if ((c = widest(elements, 1))) return c;
  }
  return widest(32, 1);
}

template <class T, class S>
Launch prepare_fused(const Arguments<T>& a, const Config& c) {
  const std::int64_t shared = shared_bytes(c, dtype_of<T>);
  const auto kernel = fused<T, S>;
  allow_shared(kernel, shared);
  // As many blocks as run at once, each with its share of the tokens, so that c is folded once and
  // the ring never drains.
  const std::int64_t groups = ceil_div(a.queries, S::kQueries);
  const std::int64_t resident = resident_blocks(kernel, c.threads, shared);
  const std::int64_t streams = std::clamp<std::int64_t>(resident / groups, 1, a.tokens);
  return [=, rows = c.rows, threads = c.threads](Stream stream) {
    launch(
        kernel,
        {.blocks = streams * groups, .threads = threads, .shared_bytes = shared, .stream = stream},
        a, rows, static_cast<int>(groups));
  };
}

template <class T>
Launch prepare(const Problem& p, const Buffers& buffers) {
  const Arguments<T> a = arguments<T>(p, buffers);
  if (const auto config = choose(p)) {
    return with_shape(*config, [&]<class S>(S) { return prepare_fused<T, S>(a, *config); });
  }
  constexpr std::int64_t kMostBlocks = std::int64_t{1} << 30;  // the kernel loops over the rest
  const std::int64_t blocks = std::min(a.queries * a.tokens, kMostBlocks);
  return [=, scores = static_cast<float*>(buffers.workspace)](Stream stream) {
    launch(wide<T>, {.blocks = blocks, .threads = kWideThreads, .stream = stream}, a, scores);
  };
}

Numerics numerics(const Problem& p) {
  const std::int64_t sources = p.dim("N");
  if (const auto c = choose(p)) {
    // A thread's own sum, the tree of its warp, then one warp after the other.
    const double chain = c->elements + 5 + c->threads / kWarpSize;
    return {.summation_height = height(static_cast<std::int64_t>(chain), 1),
            .rescales = static_cast<double>(ceil_div(sources, c->rows) - 1)};
  }
  return {.summation_height = block_sum_height(p, p.dtype_of("V"), kWideThreads),
          .rescales = static_cast<double>(sources - 1)};
}

}  // namespace

ASSAY_VARIANT(fused){
    .op = "attnres_fwd",
    .name = "fused",
    .summary = "online softmax over depth, V read once: asynchronous copies, sums in registers",
    .backend = kTwinBackend,
    .arch = {.min = 80},
    .strided = true,
    .numerics = numerics,
    .configurations = configurations,
    .unsupported = too_large,
    .workspace =
        [](const Problem& p) {
          return Workspace{choose(p) ? 0 : 4 * p.dim("Q") * p.dim("T") * p.dim("N")};
        },
    .prepare =
        [](const Problem& p, const Buffers& buffers) {
          return dispatch(p.dtype_of("V"),
                          [&]<class T>(std::type_identity<T>) { return prepare<T>(p, buffers); });
        },
};

}  // namespace assay::ASSAY_TWIN::attnres_fwd_fused
