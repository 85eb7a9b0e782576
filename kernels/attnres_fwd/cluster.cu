// attnres_fwd/cluster: for decoding, as direct with all rows asked for at once, but a token belongs
// to a cluster of up to eight blocks, each with a slice of D of one vector a thread. The blocks add
// up their sums and store them into each other's shared memory; then all have the scores. What
// counts with few tokens is the time from the launch to the last store: several multiprocessors
// take the rows of a token, each has little code to fetch, and w and g are loaded as V is, without
// asking for their type. Versus direct, on an H100 with bf16, one query and D = 7168, cold, by
// CUPTI: N = 2, T = 1 2.2 µs for 4.1; N = 9 2.8 for 6.6 at T = 1, 3.6 for 6.6 at 16, 6.0 for 8.0 at
// 64, 9.0 for 10.8 at 128; N = 9, T = 16384, D = 2048 220 for 226 µs. From 64 to 128 tokens what is
// added takes 3.1 TB/s; an empty kernel takes 1.0 µs, one that only loads V and stores O 7.8 at
// T = 128. Not for several queries, which would each ask for V.
#include <algorithm>
#include <optional>
#include <vector>

#include "kernels/attnres_fwd/arguments.h"
#include "kernels/device/cluster.h"
#include "kernels/device/launch.h"
#include "kernels/device/math.h"
#include "kernels/device/slice.h"
#include "kernels/device/sm90.h"

namespace assay::ASSAY_TWIN::attnres_fwd_cluster {

using namespace attnres_fwd;

constexpr int kMaxThreads = 256, kMaxWarps = kMaxThreads / kWarpSize;
constexpr int kMaxBlocks = 8;  // of a cluster
static_assert(kMaxWarps <= 8 && kMaxBlocks <= 8);

struct alignas(16) Sums {
  float of[12];  // eight; so far apart, neighbours lie in different banks
};

// What a kernel is given: with few tokens, all that is left to compute is time before the first
// load. Not the address of each source: with those as parameters N = 9, T = 128 took 9.5 µs
// for 9.0.
template <class T>
struct Operands {
  const T *v, *w, *g;  // g: w where there are no weights
  T* o;
  AnyOutput lse;
  std::int64_t v_pitch, v_step, o_pitch;  // V: from token to token, from source to source
  int sources, dim, blocks;               // N, D, of a cluster
  bool has_g;
  float eps, inverse_dim;
};

// Up to kRows rows, whose Σ c v and Σ v² are columns 0 to 2 kRows - 1: of the first kMain rows the
// one, then the other; then those of the rest.
template <int kRows_>
struct Shape {
  static constexpr int kRows = kRows_, kColumns = 2 * kRows;
  static constexpr int kMain = kRows >= 16 ? 16 : kRows >= 8 ? 8 : kRows >= 4 ? 4 : 2;
  static constexpr int kRest = kRows - kMain;  // none or a power of two
  static constexpr int kSpan = kColumns <= 4 ? 4 : kColumns <= 8 ? 8 : kWarpSize;  // >= kColumns
  static constexpr int kLanes = kRest > 0 ? 2 * kMain : kMain;  // a power of two >= kRows
  static_assert(kColumns <= kWarpSize && (kRest & (kRest - 1)) == 0);

  ASSAY_DEVICE static int dot_column(int row) { return row < kMain ? row : row + kMain; }
  ASSAY_DEVICE static int square_column(int row) { return row + kMain + (row < kMain ? 0 : kRest); }
};

// The sums over a warp of kCount dots and squares, from `first` on: lane i gets column i modulo
// their number.
template <int kCount, int kRows>
ASSAY_DEVICE float sum_columns(const float (&dots)[kRows], const float (&squares)[kRows],
                               int first) {
  float columns[2 * kCount];
  ASSAY_UNROLL
  for (int r = 0; r < kCount; ++r) {
    columns[r] = dots[first + r];
    columns[kCount + r] = squares[first + r];
  }
  return warp_sum<2 * kCount>(warp_sum_each(columns));
}

// The sum of eight numbers, in order.
ASSAY_DEVICE float sum_eight(const float* from) {
  float low[4], high[4];
  load_elements(from, low);
  load_elements(from + 4, high);
  return ((((((low[0] + low[1]) + low[2]) + low[3]) + high[0]) + high[1]) + high[2]) + high[3];
}

// Elements d to d + kVectorSize - 1 of a row, where d < D; rows that are not aligned are accessed
// element by element, and read as zero beyond D.
template <class T, bool kAligned>
struct Row {
  static constexpr int kSize = kVectorSize<T>;
  int d, dim;

  ASSAY_DEVICE Vector load(const T* row) const {
    if constexpr (kAligned) {
      Vector result;
      load_words(row + d, result.words);
      return result;
    } else {
      return load_elementwise(row, d, dim);
    }
  }
  ASSAY_DEVICE void store(T* row, const float (&x)[kSize]) const {
    if constexpr (kAligned) {
      store_elements(row + d, x);
    } else {
      ASSAY_UNROLL
      for (int j = 0; j < kSize; ++j) {
        if (d + j < dim) row[d + j] = narrow<T>(x[j]);
      }
    }
  }
};

template <class T, class S, bool kAligned>
ASSAY_KERNEL(kMaxThreads)
void attend(Operands<T> a) {
#if ASSAY_HAS_SM90
  constexpr int kSize = kVectorSize<T>, kRows = S::kRows, kColumns = S::kColumns;
  ASSAY_SHARED(own, [kColumns], Sums);         // of this block's warps, zeros for those not there
  ASSAY_SHARED(sums, [kColumns], Sums);        // of the cluster's blocks, likewise
  ASSAY_SHARED(complete, [1], std::uint64_t);  // when `sums` is
  const auto thread = static_cast<unsigned>(thread_index());
  const auto lane = static_cast<int>(thread % kWarpSize),
             warp = static_cast<int>(thread / kWarpSize);
  if (thread == 0) {
    mbarrier_init(&complete[0], 1);
    mbarrier_fence();
    mbarrier_arrive_expect(&complete[0], a.blocks * kColumns * static_cast<int>(sizeof(float)));
  }
  cluster_arrive();

  const int rank = cluster_rank(), t = cluster_index();
  const Row<T, kAligned> slice = {(rank * num_threads() + static_cast<int>(thread)) * kSize, a.dim};
  const bool has_slice = slice.d < a.dim;
  // Without branches, so that nothing waits in between: threads that have no slice ask for the
  // first, sources that are not there for the last, of which nothing is used but with weight zero.
  const Row<T, kAligned> from = {has_slice ? slice.d : 0, a.dim};
  const Vector w = from.load(a.w), g = from.load(a.g);
  Vector v[kRows];
  const T* row = a.v + t * a.v_pitch;
  ASSAY_UNROLL
  for (int r = 0; r < kRows; ++r) {
    v[r] = from.load(row);
    if (r + 1 < a.sources) row += a.v_step;
  }
  if (warp == 0) {
    ASSAY_NO_UNROLL
    for (int i = lane; i < kColumns * 8; i += kWarpSize) {
      if (i % 8 >= num_warps()) own[i / 8].of[i % 8] = 0;
      if (i % 8 >= a.blocks) sums[i / 8].of[i % 8] = 0;
    }
  }

  float dots[kRows] = {}, squares[kRows] = {};
  if (has_slice) {
    ASSAY_UNROLL
    for (int j = 0; j < kSize; ++j) {
      const float weight = element<T>(w.words, j);
      const float c = a.has_g ? weight * element<T>(g.words, j) : weight;
      ASSAY_UNROLL
      for (int r = 0; r < kRows; ++r) {
        const float x = element<T>(v[r].words, j);
        dots[r] += c * x;
        squares[r] += x * x;
      }
    }
  }
  float sum = sum_columns<S::kMain>(dots, squares, 0);
  if constexpr (S::kRest > 0) {
    const float rest = sum_columns<S::kRest>(dots, squares, S::kMain);
    if (lane >= 2 * S::kMain) sum = rest;
  }

  // Warps to block, blocks to cluster: a warp stores to as many blocks at once as it has lanes for.
  const int column = lane % S::kSpan;
  const bool has_column = column < kColumns;
  if (lane < kColumns) own[lane].of[warp] = sum;
  sync_threads();
  cluster_wait();  // all have their mbarrier
  constexpr int kTogether = kWarpSize / S::kSpan;
  if (has_column && warp * kTogether < a.blocks) {
    sum = sum_eight(own[column].of);
    ASSAY_NO_UNROLL
    for (int to = warp * kTogether + lane / S::kSpan; to < a.blocks;
         to += num_warps() * kTogether) {
      cluster_store(&sums[column].of[rank], to, sum, &complete[0]);
    }
  }
  mbarrier_wait_cluster(&complete[0], 0);

  // Every warp has all scores: lane i that of row i % kLanes, where there is one. A NaN passes the
  // maximum but makes its weight, hence the total, NaN for good.
  const float all = has_column ? sum_eight(sums[column].of) : 0.0f;
  const int source = lane % S::kLanes;
  const float dot = shuffle(all, S::dot_column(source));
  const float square = shuffle(all, S::square_column(source));
  const float r = reciprocal_sqrt_positive(square * a.inverse_dim + a.eps);
  const float score = source < a.sources ? dot * (r * kLog2E) : minus_infinity();
  const float max = warp_max<1, S::kLanes>(score);
  const float weight = exp2_approx(score - max);
  const float total = warp_sum<1, S::kLanes>(weight);

  // Mix.
  float o[kSize] = {};
  ASSAY_UNROLL
  for (int k = 0; k < kRows; ++k) {
    const float p = shuffle(weight, k);
    ASSAY_UNROLL
    for (int j = 0; j < kSize; ++j) o[j] += p * element<T>(v[k].words, j);
  }
  const float scale = 1.0f / total;
  ASSAY_UNROLL
  for (int j = 0; j < kSize; ++j) o[j] *= scale;
  if (has_slice) slice.store(a.o + t * a.o_pitch, o);
  if (rank == 0 && thread == 0) a.lse.store(t, max * kLn2 + log_accurate(total));
#endif
}

namespace {

// All instantiations: calls f(Shape) for each.
template <class F>
void each_shape(const F& f) {
  f(Shape<2>{});
  f(Shape<4>{});
  f(Shape<9>{});
  f(Shape<16>{});
}
constexpr int kMostRows = 16;

struct Config {
  int blocks, threads;  // of a cluster, of a block
};

std::int64_t vectors(const Problem& p) {
  return ceil_div(p.dim("D"), 16 / static_cast<std::int64_t>(size_of(p.dtype_of("V"))));
}
// Two at least: what stores into other blocks does not run without a cluster.
int least_blocks(const Problem& p) {
  return static_cast<int>(std::max<std::int64_t>(2, ceil_div(vectors(p), kMaxThreads)));
}
int most_blocks(const Problem& p) {  // four warps each, or more
  const std::int64_t useful = ceil_div(vectors(p), 4 * kWarpSize);
  return static_cast<int>(std::clamp<std::int64_t>(useful, 2, kMaxBlocks));
}

Config choose(const Problem& p) {
  const auto blocks = static_cast<int>(p.configuration["blocks"].value_or(most_blocks(p)));
  return {blocks, static_cast<int>(round_up(ceil_div(vectors(p), blocks), kWarpSize))};
}

std::vector<Configuration> configurations(const Problem& p) {
  std::vector<Configuration> all;
  for (int blocks = least_blocks(p); blocks <= most_blocks(p); ++blocks)
    all.push_back({{"blocks", blocks}});
  return all;
}

template <class T>
Launch prepare(const Problem& p, const Buffers& buffers) {
  const Arguments<T> all = arguments<T>(p, buffers);
  const Config c = choose(p);
  Operands<T> a = {};
  a.v = all.v;
  a.w = static_cast<const T*>(all.w.data);
  a.has_g = all.g.data != nullptr;
  a.g = a.has_g ? static_cast<const T*>(all.g.data) : a.w;
  a.o = static_cast<T*>(all.o.data);
  a.lse = all.lse;
  a.v_pitch = all.v_pitch;
  a.v_step = all.tokens * all.v_pitch;
  a.o_pitch = all.o_pitch;
  a.sources = all.sources;
  a.dim = all.dim;
  a.blocks = c.blocks;
  a.eps = all.eps;
  a.inverse_dim = 1.0f / static_cast<float>(all.dim);
  Launch result;
  each_shape([&]<class S>(S) {
    if (result || a.sources > S::kRows) return;
    const auto kernel = all.aligned ? attend<T, S, true> : attend<T, S, false>;
    const std::int64_t blocks = all.tokens * c.blocks;
    result = [=](Stream stream) {
      launch(kernel,
             {.blocks = blocks, .threads = c.threads, .cluster = c.blocks, .stream = stream}, a);
    };
  });
  return result;
}

Numerics numerics(const Problem& p) {
  // A thread's own sum, the tree of its warp, then warps and blocks one after the other.
  const std::int64_t vector = 16 / static_cast<std::int64_t>(size_of(p.dtype_of("V")));
  return {.summation_height = height(vector + 5 + 8 + 8, 1)};
}

std::string unsupported(const Problem& p) {
  if (p.dim("Q") > 1) return "several queries, each of which would ask for V";
  if (p.dim("N") > kMostRows) return "more than 16 rows do not fit into registers";
  if (least_blocks(p) > kMaxBlocks) return "a row does not fit into the registers of a cluster";
  for (const char* name : {"w", "g", "O"}) {
    if (p.dtype_of(name) != p.dtype_of("V")) return "w, g and O must have the type of V";
  }
  constexpr std::int64_t kMostBlocks = std::int64_t{1} << 30;
  if (p.dim("T") > kMostBlocks / kMaxBlocks) return "too many tokens";
  return too_large(p);
}

}  // namespace

ASSAY_VARIANT(cluster){
    .op = "attnres_fwd",
    .name = "cluster",
    .summary = "for few tokens: the blocks of a cluster share a token, sums in each other's memory",
    .backend = kTwinBackend,
    .arch = {.min = 90},
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

}  // namespace assay::ASSAY_TWIN::attnres_fwd_cluster
