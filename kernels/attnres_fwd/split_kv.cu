// attnres_fwd/split_kv: the sources of a token are split across blocks, so that a handful of tokens
// fills the GPU; each block leaves a partial (m, l, O), and a second kernel, split over D, merges
// them in a fixed order. Versus fused: N times the blocks at T = 1. On an H100 it still loses to
// fused at N = 9, D = 7168 (T = 1: 19.5 µs against 13.2; T = 128: 31.8 against 15.2): the second
// launch and the partial O's traffic cost more than nine rows in a row do.
#include "kernels/attnres_fwd/rows.h"
#include "kernels/device/launch.h"
#include "kernels/device/math.h"

namespace assay::ASSAY_TWIN::attnres_fwd_split_kv {

using namespace attnres_fwd;

constexpr int kThreads = 256;
constexpr int kRows = 4;  // of V between two block reductions
constexpr std::int64_t kMaxSplit =
    1024;  // sources of one block: their scores stay in shared memory
constexpr int kTargetBlocks =
    264;  // two for each multiprocessor of an H100; a constant, so that every device splits alike

// What a block leaves for the merge, for each (query, token, split): m, l (base 2) and O / exp-sum
// still to be divided.
struct Partial {
  float* max;    // (Q, T, S)
  float* total;  // (Q, T, S)
  float* mix;    // (Q, T, S, D)
};

// The kRows scores and squares of a chunk, over the block, in every thread.
template <int kCount>
ASSAY_DEVICE void block_sum_each(float (&values)[kCount]) {
  ASSAY_SHARED(sums, [kThreads / kWarpSize][kCount], float);
  const float part = warp_sum<kCount>(warp_sum_each(values));
  sync_threads();  // the previous sums have been read
  if (lane_index() < kCount) sums[warp_index()][lane_index()] = part;
  sync_threads();
  ASSAY_UNROLL
  for (int i = 0; i < kCount; ++i) {
    values[i] = 0;
    for (int w = 0; w < num_warps(); ++w) values[i] += sums[w][i];
  }
}

// One block per (query, token, split); split s has the sources [s * per_split, ...).
template <class T>
ASSAY_KERNEL(kThreads)
void partial(Arguments<T> a, Partial out, int splits, int per_split) {
  float* scores = dyn_shared<float>();  // (per_split)
  const std::int64_t parts = a.queries * a.tokens * splits;
  for (std::int64_t part = block_index(); part < parts; part += num_blocks()) {
    const int split = static_cast<int>(part % splits);
    const std::int64_t qt = part / splits, t = qt % a.tokens;
    const int q = static_cast<int>(qt / a.tokens);
    const int first = split * per_split, count = min(per_split, a.sources - first);

    // Scores, kRows rows at a time. Of rows that are not there the last one is read again, and
    // nothing is kept.
    float max = minus_infinity();
    for (int chunk = 0; chunk < count; chunk += kRows) {
      const T* rows[kRows];
      ASSAY_UNROLL
      for (int r = 0; r < kRows; ++r) rows[r] = a.row(first + min(chunk + r, count - 1), t);
      float sums[2 * kRows] = {};  // Σ c v of each row, then Σ v²
      for_each_part(a, 0, a.dim, [&]<int kCount>(int d, Count<kCount>) {
        float c[kCount];
        load_weights(a, q, d, c);
        ASSAY_UNROLL
        for (int r = 0; r < kRows; ++r) {
          float x[kCount];
          load_part(rows[r], d, x);
          ASSAY_UNROLL
          for (int j = 0; j < kCount; ++j) {
            sums[r] += c[j] * x[j];
            sums[kRows + r] += x[j] * x[j];
          }
        }
      });
      block_sum_each(sums);
      ASSAY_UNROLL
      for (int r = 0; r < kRows; ++r) {
        const float mean = sums[kRows + r] / static_cast<float>(a.dim);
        const float score = sums[r] * (reciprocal_sqrt(mean + a.eps) * kLog2E);
        max = maximum(max, score);
        if (thread_index() == 0 && chunk + r < count) scores[chunk + r] = score;
      }
    }
    sync_threads();

    // Softmax over the split's own sources: every thread has all of them. A NaN stays in `total`
    // and in its weight.
    float total = 0;
    for (int n = 0; n < count; ++n) total += exp2_approx(scores[n] - max);
    if (thread_index() == 0) {
      out.max[part] = max;
      out.total[part] = total;
    }

    // Mix; V comes from the cache.
    for_each_part(a, 0, a.dim, [&]<int kCount>(int d, Count<kCount>) {
      float sum[kCount] = {};
      for (int n = 0; n < count; ++n) {
        const float weight = exp2_approx(scores[n] - max);
        float x[kCount];
        load_part(a.row(first + n, t), d, x);
        ASSAY_UNROLL
        for (int j = 0; j < kCount; ++j) sum[j] += weight * x[j];
      }
      store_part(AnyOutput{out.mix, DType::f32}, part * a.dim + d, sum);
    });
    sync_threads();  // before the next part overwrites the scores
  }
}

// One block per (query, token, slice of D): a token's partial results are added from split 0
// upwards.
template <class T>
ASSAY_KERNEL(kThreads)
void merge(Arguments<T> a, Partial in, int splits, int slices, int slice_dim) {
  const std::int64_t parts = a.queries * a.tokens * slices;
  for (std::int64_t part = block_index(); part < parts; part += num_blocks()) {
    const std::int64_t qt = part / slices;
    const int begin = static_cast<int>(part % slices) * slice_dim;
    const int end = min(a.dim, begin + slice_dim);
    const float* maxima = in.max + qt * splits;
    const float* totals = in.total + qt * splits;

    float max = minus_infinity(), total = 0;
    for (int s = 0; s < splits; ++s) max = maximum(max, maxima[s]);
    for (int s = 0; s < splits; ++s) total += totals[s] * exp2_approx(maxima[s] - max);
    const float scale = 1.0f / total;

    for_each_part(a, begin, end, [&]<int kCount>(int d, Count<kCount>) {
      float sum[kCount] = {};
      for (int s = 0; s < splits; ++s) {
        const float weight = exp2_approx(maxima[s] - max);
        float x[kCount];
        load_part(in.mix + (qt * splits + s) * a.dim, d, x);
        ASSAY_UNROLL
        for (int j = 0; j < kCount; ++j) sum[j] += weight * x[j];
      }
      ASSAY_UNROLL
      for (int j = 0; j < kCount; ++j) sum[j] *= scale;
      store_part(a.o, a.o_row(qt / a.tokens, qt % a.tokens) + d, sum);
    });
    if (begin == 0 && thread_index() == 0) {
      a.lse.store(a.lse_at(qt / a.tokens, qt % a.tokens), max * kLn2 + log_accurate(total));
    }
  }
}

namespace {

struct Split {
  std::int64_t columns, per_split, splits;  // Q T, sources of a block, blocks of a column
};

Split split(const Problem& p) {
  const std::int64_t sources = p.dim("N"), columns = p.dim("Q") * p.dim("T");
  const std::int64_t wanted = std::clamp<std::int64_t>(kTargetBlocks / columns, 1, sources);
  const std::int64_t per_split =
      p.configuration["sources"].value_or(std::min(ceil_div(sources, wanted), kMaxSplit));
  return {columns, per_split, ceil_div(sources, per_split)};
}

// What tuning tries: sources of a block.
std::vector<Configuration> configurations(const Problem& p) {
  std::vector<Configuration> all;
  for (std::int64_t splits = 1; splits <= p.dim("N"); splits *= 2) {
    const std::int64_t sources = ceil_div(p.dim("N"), splits);
    if (sources <= kMaxSplit) all.push_back({{"sources", sources}});
  }
  return all;
}

// Offsets into the workspace are multiples of 16 bytes.
std::int64_t scalar_bytes(const Split& s) { return round_up(4 * s.columns * s.splits, 16); }

template <class T>
Launch prepare(const Problem& p, const Buffers& buffers) {
  const Arguments<T> a = arguments<T>(p, buffers);
  const Split s = split(p);
  auto* base = static_cast<unsigned char*>(buffers.workspace);
  const Partial partials = {reinterpret_cast<float*>(base),
                            reinterpret_cast<float*>(base + scalar_bytes(s)),
                            reinterpret_cast<float*>(base + 2 * scalar_bytes(s))};
  const int splits = static_cast<int>(s.splits), per_split = static_cast<int>(s.per_split);
  constexpr int kSliceDim = kThreads * kVectorSize<T>;
  const int slices = static_cast<int>(ceil_div(a.dim, kSliceDim));
  const auto grid = [](std::int64_t blocks, std::int64_t shared, Stream stream) {
    constexpr std::int64_t kMostBlocks = std::int64_t{1} << 30;  // the kernels loop over the rest
    return LaunchConfig{.blocks = std::min(blocks, kMostBlocks),
                        .threads = kThreads,
                        .shared_bytes = shared,
                        .stream = stream};
  };
  return [=](Stream stream) {
    // Whole vectors: nvcc reads the scores 16 bytes at a time.
    launch(partial<T>, grid(s.columns * s.splits, round_up(4 * s.per_split, 16), stream), a,
           partials, splits, per_split);
    launch(merge<T>, grid(s.columns * slices, 0, stream), a, partials, splits, slices, kSliceDim);
  };
}

}  // namespace

ASSAY_VARIANT(split_kv){
    .op = "attnres_fwd",
    .name = "split_kv",
    .summary = "sources split across blocks, partial (m, l, O) merged by a second kernel",
    .backend = kTwinBackend,
    .arch = {.min = 80},
    .strided = true,
    .numerics =
        [](const Problem& p) {
          // The merge rescales each partial result once.
          return Numerics{.summation_height = block_sum_height(p, p.dtype_of("V"), kThreads),
                          .rescales = 1};
        },
    .configurations = configurations,
    .unsupported = too_large,
    .workspace =
        [](const Problem& p) {
          const Split s = split(p);
          return Workspace{2 * scalar_bytes(s) + 4 * s.columns * s.splits * p.dim("D")};
        },
    .prepare =
        [](const Problem& p, const Buffers& buffers) {
          return dispatch(p.dtype_of("V"),
                          [&]<class T>(std::type_identity<T>) { return prepare<T>(p, buffers); });
        },
};

}  // namespace assay::ASSAY_TWIN::attnres_fwd_split_kv
