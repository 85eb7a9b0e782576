// attnres_fwd/direct: rows of V come straight from memory into registers, as many at once as fit,
// and wait there for their weights, with an online softmax over depth; a block has one token and
// query, and what hides the latency of memory are the other blocks of the multiprocessor. Versus
// fused: no ring in shared memory, nothing to fetch ahead. For decoding all rows of a token are
// asked for at once: memory is waited for once, and there is one barrier. On an H100 with bf16 and
// one query: N = 9, T = 16384, D = 2048 227 µs for 238 (2.96 TB/s of the least bytes); N = 16, T =
// 8192, D = 4096 384 for 396 µs (2.97); decoding with N = 9, D = 7168 by CUPTI 6.6 µs for 11.4 at
// T = 1, 10.9 for 13.3 at T = 128, where cluster takes 2.9 and 9.2. Loses where so few threads hold
// a row that one block fills the registers (N = 9, T = 8192, D = 7168: 412 for 402 µs), and with
// several queries, which each ask for V.
#include <optional>
#include <tuple>
#include <vector>

#include "kernels/attnres_fwd/slice.h"
#include "kernels/device/launch.h"
#include "kernels/device/math.h"

namespace assay::ASSAY_TWIN::attnres_fwd_direct {

using namespace attnres_fwd;

constexpr int kGroup = 4;  // rows whose sums a warp adds up together
constexpr int kSums = 2 * kGroup;

// What determines registers: 16-byte vectors of a thread in a row, and rows at once.
template <int kVectors_, int kRows_, int kMaxThreads_, int kMinBlocks_ = 1>
struct Shape {
  static constexpr int kVectors = kVectors_, kRows = kRows_;
  static constexpr int kMaxThreads = kMaxThreads_, kMinBlocks = kMinBlocks_;
  static constexpr int kGroups = (kRows + kGroup - 1) / kGroup;
  // Lanes that have the scores of a chunk; the others repeat them.
  static constexpr int kLanes = kGroups == 1 ? 8 : kGroups == 2 ? 16 : 32;
  static_assert(kGroups * kSums <= kWarpSize);
};

template <class T, class S>
ASSAY_KERNEL(S::kMaxThreads, S::kMinBlocks)
void direct(Arguments<T> a, float inverse_dim) {
  constexpr int kSize = kVectorSize<T>, kVectors = S::kVectors, kRows = S::kRows;
  constexpr int kWarps = S::kMaxThreads / kWarpSize;
  // By groups of rows: Σ c v of each, then Σ v². Lane i of a warp takes column i.
  ASSAY_SHARED(partial, [2][kWarps][S::kGroups * kSums], float);

  const Slice<T> slice = {a.dim, a.aligned};
  const int lane = lane_index();
  const int q = block_index() % a.queries;  // those of a token side by side: V from L2
  const int tokens = static_cast<int>(a.tokens), token_step = num_blocks() / a.queries;
  int buffer = 0;  // two: one barrier a chunk is enough
  for (int t = block_index() / a.queries; t < tokens; t += token_step) {
    Weights<T, kVectors, 1> weights = {};
    float sum[kVectors][kSize] = {};  // Σ p V, of this thread's slice
    float max = minus_infinity(), total = 0;
    for (int first = 0; first < a.sources; first += kRows, buffer ^= 1) {
      const int present = min(kRows, a.sources - first);
      Vector v[kRows][kVectors];
      ASSAY_UNROLL
      for (int r = 0; r < kRows; ++r) {
        ASSAY_UNROLL
        for (int i = 0; i < kVectors; ++i) {
          v[r][i] = r < present ? slice.load_any(a.row(first + r, t), i) : Vector{};
        }
      }
      // After the rows have been asked for. Rows that are not aligned take two vectors a thread.
      if (first == 0) {
        Vector* const scratch = a.aligned ? nullptr : dyn_shared<Vector>() + thread_index();
        fold_weights(a, slice, q, 1, weights, scratch, num_threads());
      }

      ASSAY_UNROLL
      for (int group = 0; group < S::kGroups; ++group) {
        if (group * kGroup >= present) break;
        float sums[kSums] = {};
        ASSAY_UNROLL
        for (int r = 0; r < min(kGroup, kRows - group * kGroup); ++r) {
          ASSAY_UNROLL
          for (int i = 0; i < kVectors; ++i) {
            ASSAY_UNROLL
            for (int j = 0; j < kSize; ++j) {
              const float x = element<T>(v[group * kGroup + r][i].words, j);
              sums[r] += weights.c_[i][j] * x;
              sums[kGroup + r] += x * x;
            }
          }
        }
        const float part = warp_sum<kSums>(warp_sum_each(sums));
        if (lane < kSums) partial[buffer][warp_index()][group * kSums + lane] = part;
      }
      sync_threads();

      // Every warp has all scores: lane i that of row i % 8 of group i / 8, where there is one. A
      // NaN passes the maximum but makes its weight, hence the total, NaN for good.
      float all = 0;
      const int column = lane % S::kLanes, row = column / kSums * kGroup + column % kSums;
      if (column / kSums * kGroup < present) {
        all = sum_over_warps<kWarps>(&partial[buffer][0][column], S::kGroups * kSums);
      }
      const float square = shuffle(all, lane + kGroup);
      // Not divided: a quotient of the zeros of lanes without a row takes the division's long way.
      const float r = reciprocal_sqrt_positive(square * inverse_dim + a.eps);
      const bool there = column % kSums < kGroup && row < present;
      const float score = there ? all * (r * kLog2E) : minus_infinity();
      const float new_max = maximum(max, warp_max<1, S::kLanes>(score));
      const float weight = exp2_approx(score - new_max);
      const float rescale = exp2_approx(max - new_max);
      total = total * rescale + warp_sum<1, S::kLanes>(weight);
      max = new_max;

      // Mix.
      ASSAY_UNROLL
      for (int i = 0; i < kVectors; ++i) {
        ASSAY_UNROLL
        for (int j = 0; j < kSize; ++j) sum[i][j] *= rescale;
      }
      ASSAY_UNROLL
      for (int k = 0; k < kRows; ++k) {
        if (k >= present) break;
        const float p = shuffle(weight, k / kGroup * kSums + k % kGroup);
        ASSAY_UNROLL
        for (int i = 0; i < kVectors; ++i) {
          ASSAY_UNROLL
          for (int j = 0; j < kSize; ++j) sum[i][j] += p * element<T>(v[k][i].words, j);
        }
      }
    }

    // O and LSE.
    const float scale = 1.0f / total;
    const std::int64_t out = a.o_row(q, t);
    ASSAY_UNROLL
    for (int i = 0; i < kVectors; ++i) {
      ASSAY_UNROLL
      for (int j = 0; j < kSize; ++j) sum[i][j] *= scale;
      slice.store(a.o, out, i, sum[i]);
    }
    if (thread_index() == 0) a.lse.store(a.lse_at(q, t), max * kLn2 + log_accurate(total));
  }
}

namespace {

// How a problem is cut.
struct Config {
  int vectors, rows;  // select the Shape
  int threads;        // threads * vectors vectors hold a row
};

// All instantiations: calls f(Shape) for each.
template <class F>
void each_shape(const F& f) {
  f(Shape<1, 4, 1024>{});
  f(Shape<1, 8, 896>{});
  f(Shape<1, 16, 512>{});
  f(Shape<2, 5, 128, 5>{});
  f(Shape<2, 8, 256, 2>{});
  f(Shape<2, 9, 512>{});
}

template <class S>
std::optional<Config> fit(const Problem& p) {
  const std::int64_t vector = 16 / static_cast<std::int64_t>(size_of(p.dtype_of("V")));
  const std::int64_t threads = round_up(ceil_div(p.dim("D"), S::kVectors * vector), kWarpSize);
  if (threads > S::kMaxThreads) return {};
  return Config{S::kVectors, S::kRows, static_cast<int>(threads)};
}

std::vector<Configuration> configurations(const Problem& p) {
  std::vector<Configuration> all;
  each_shape([&]<class S>(S) {
    if (fit<S>(p)) all.push_back({{"rows", S::kRows}, {"vectors", S::kVectors}});
  });
  return all;
}

// Nothing: rows are too wide for the registers of a block. As few chunks as possible; then, with
// few tokens, many threads, with many tokens few; then few registers.
std::optional<Config> choose(const Problem& p) {
  constexpr std::int64_t kFew = 528;  // columns: four for each multiprocessor of an H100
  const int preferred = p.dim("Q") * p.dim("T") <= kFew ? 1 : 2;
  const Configuration& asked = p.configuration;
  std::optional<Config> best;
  std::tuple<std::int64_t, bool, int> least;
  each_shape([&]<class S>(S) {
    const auto c = fit<S>(p);
    if (!c) return;
    if (!asked.empty() && (*asked["rows"] != S::kRows || *asked["vectors"] != S::kVectors)) return;
    const std::tuple<std::int64_t, bool, int> cost = {ceil_div(p.dim("N"), S::kRows),
                                                      S::kVectors != preferred, S::kRows};
    if (best && cost >= least) return;
    best = c;
    least = cost;
  });
  return best;
}

template <class T>
Launch prepare(const Problem& p, const Buffers& buffers) {
  const Arguments<T> a = arguments<T>(p, buffers);
  const Config c = *choose(p);
  const std::int64_t shared = a.aligned ? 0 : std::int64_t{2} * c.threads * sizeof(Vector);
  constexpr std::int64_t kMostBlocks = std::int64_t{1} << 30;  // the kernel loops over the rest
  const std::int64_t blocks = a.queries * std::min(a.tokens, kMostBlocks / a.queries);
  Launch result;
  each_shape([&]<class S>(S) {
    if (S::kVectors != c.vectors || S::kRows != c.rows) return;
    allow_shared(direct<T, S>, shared);
    result = [=](Stream stream) {
      launch(direct<T, S>,
             {.blocks = blocks, .threads = c.threads, .shared_bytes = shared, .stream = stream}, a,
             1.0f / static_cast<float>(a.dim));
    };
  });
  return result;
}

Numerics numerics(const Problem& p) {
  // A thread's own sum, the tree of its warp, then one warp after the other.
  const Config c = *choose(p);
  const std::int64_t vector = 16 / static_cast<std::int64_t>(size_of(p.dtype_of("V")));
  return {.summation_height = height(c.vectors * vector + 5 + c.threads / kWarpSize, 1),
          .rescales = static_cast<double>(ceil_div(p.dim("N"), c.rows) - 1)};
}

std::string unsupported(const Problem& p) {
  if (!choose(p)) return "a row does not fit into the registers of a block";
  return too_large(p);
}

}  // namespace

ASSAY_VARIANT(direct){
    .op = "attnres_fwd",
    .name = "direct",
    .summary = "as fused, but V straight into registers; a block for each token, as for decoding",
    .backend = kTwinBackend,
    .arch = {.min = 80},
    .strided = true,
    .numerics = numerics,
    .configurations = configurations,
    .unsupported = unsupported,
    .prepare =
        [](const Problem& p, const Buffers& buffers) {
          return dispatch(p.dtype_of("V"),
                          [&]<class T>(std::type_identity<T>) { return prepare<T>(p, buffers); });
        },
};

}  // namespace assay::ASSAY_TWIN::attnres_fwd_direct
