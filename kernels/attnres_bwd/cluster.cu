// attnres_bwd/cluster: as fused, but the blocks of a cluster share a token, each with a slice of D:
// together they hold rows that no block has the shared memory for, and V is still read once. Within
// a block groups of four warps take rows in turn; each keeps X of its rows in registers. A block
// tells the others its sums over its slice, and all add them up in the same order. Versus fused:
// for N·D beyond the shared memory of a block, where that reads V and dO again and again from L2:
// on an H100 with bf16 883 µs for 2550 at N = 62, T = 1024, D = 7168 (2.08 TB/s of the least
// bytes), 957 for 2950 at N = 32, T = 4096, D = 4096 (2.28), 1200 for 2710 at N = 16, T = 4096, D =
// 7168, where a token is little work for what its blocks tell each other. With eight blocks in
// place of four N = 32 takes 1830 µs.
#include <optional>

#include "kernels/attnres_bwd/softmax.h"
#include "kernels/attnres_fwd/slice.h"
#include "kernels/device/cluster.h"
#include "kernels/device/sm90.h"
#include "kernels/device/weight_gradient.h"

namespace assay::ASSAY_TWIN::attnres_bwd_cluster {

using namespace attnres_bwd;
using attnres_fwd::Weights;

constexpr int kGroups = 4, kGroupThreads = 128, kThreads = kGroups * kGroupThreads;
constexpr int kGroupWarps = kGroupThreads / kWarpSize;
constexpr int kElements = 8;  // of a row, that a thread owns
constexpr int kMaxWidth = kGroupThreads * kElements;
constexpr int kPerRow = 3;  // sums: score, gain, square
constexpr int kMaxCluster = 8;
constexpr std::int64_t kReserved = 1 << 10;  // shared memory that is not dynamic, and more

// A group's thread owns the same elements of all of its rows.
struct Group {
  ASSAY_DEVICE static int thread() { return thread_index() % kGroupThreads; }
  ASSAY_DEVICE static int threads() { return kGroupThreads; }
};

// How a problem is cut.
struct Config {
  int cluster, width;  // blocks that share a token, and elements of a row that each has
  int slots;           // rows of V that a group has room for
  std::int64_t shared;
};

// Blocks of a cluster have the same tokens. x_parts: (clusters, D).
template <class T>
ASSAY_KERNEL(kThreads, 1)
void gradients(Arguments a, Config c, float* x_parts) {
#if ASSAY_HAS_SM90
  constexpr int kSize = kVectorSize<T>, kVectors = kElements / kSize;
  constexpr int kRows = 3;  // of V at once
  ASSAY_SHARED(barriers, [2], std::uint64_t);

  const int group = thread_index() / kGroupThreads, lane = lane_index();
  const int rank = cluster_rank(), begin = min(rank * c.width, a.dim);
  const Slice<T, Group> slice = {min(c.width, a.dim - begin), a.aligned};
  const int tokens = static_cast<int>(a.tokens), token_step = num_blocks() / c.cluster;
  const int own_rows = (a.sources - group + kGroups - 1) / kGroups;  // group, group + kGroups, …
  const auto source = [&](int row) { return group + row * kGroups; };

  // Shared memory: each group's ring of rows, of which a thread reads what it wrote; the sums of
  // the warps of a row's group, and by turns those of all blocks; coefficients.
  Vector* const ring =
      dyn_shared<Vector>() + group * c.slots * kVectors * kGroupThreads + Group::thread();
  const auto row_at = [&](int slot, int i) { return ring + (slot * kVectors + i) * kGroupThreads; };
  auto* const coefficients = reinterpret_cast<Coefficients*>(
      dyn_shared<Vector>() + kGroups * c.slots * kVectors * kGroupThreads);
  const int count = a.sources * kPerRow;
  auto* const parts = reinterpret_cast<float*>(coefficients + a.sources);  // (N, 3, warps)
  float* const inbox = parts + count * kGroupWarps;                        // (2, blocks, N, 3)

  if (thread_index() == 0) {
    mbarrier_init(&barriers[0], 1);
    mbarrier_init(&barriers[1], 1);
    mbarrier_fence();
  }
  Weights<T, kVectors, 1> weights = {};
  ASSAY_UNROLL
  for (int i = 0; i < kVectors; ++i) {
    float folded[kSize] = {};
    slice.fold_weights(a.w, begin, a.g, begin, i, row_at(0, 0), row_at(1, 0), folded);
    weights.put(0, i, folded);
  }

  int next_token = cluster_index(), next_row = 0, next_slot = 0;
  const auto fetch_row = [&] {
    if (next_token < tokens) {
      const T* row = a.v.as<T>() + a.row(source(next_row), next_token) + begin;
      ASSAY_UNROLL
      for (int i = 0; i < kVectors; ++i) slice.fetch(row_at(next_slot, i), row, i);
      if (++next_row == own_rows) {
        next_row = 0;
        next_token += token_step;
      }
    }
    next_slot = next_slot + 1 == c.slots ? 0 : next_slot + 1;
    commit_async();
  };
  const auto load_gradient = [&](int token, Vector(&d_o)[kVectors]) {
    ASSAY_UNROLL
    for (int i = 0; i < kVectors; ++i) {
      d_o[i] = token < tokens ? slice.load_any(a.d_o.as<T>() + a.query_row(0, token) + begin, i)
                              : Vector{};
    }
  };
  Vector d_o[kVectors], next_d_o[kVectors];
  load_gradient(cluster_index(), next_d_o);
  ASSAY_NO_UNROLL
  for (int s = 0; s < c.slots && own_rows > 0; ++s) fetch_row();
  sync_threads();
  cluster_arrive();
  cluster_wait();  // all barriers are there

  float x[kElements] = {};  // X, of this thread's elements and this group's rows
  int first_slot = 0, turn = 0;
  for (int t = cluster_index(); t < tokens; t += token_step, ++turn) {
    ASSAY_UNROLL
    for (int i = 0; i < kVectors; ++i) d_o[i] = next_d_o[i];
    // Sums over the slice: this warp's part.
    int slot = first_slot;
    ASSAY_NO_UNROLL
    for (int first = 0; first < own_rows; first += kRows) {
      const int present = min(kRows, own_rows - first);
      wait_async_at_most(c.slots - first - present);  // as many are behind
      float sums[16] = {};                            // kPerRow of each row, as warp_sum_each wants
      ASSAY_UNROLL
      for (int i = 0; i < kVectors; ++i) {
        ASSAY_UNROLL
        for (int p = 0; p < kSize / 4; ++p) {
          float folded[4], gradient[4];
          weights.get(0, i, p, folded);
          load_elements(reinterpret_cast<const T*>(d_o[i].words) + 4 * p, gradient);
          ASSAY_UNROLL
          for (int r = 0; r < kRows; ++r) {
            if (r >= present) break;
            const int at = slot + r < c.slots ? slot + r : slot + r - c.slots;
            float v[4];
            load_elements(reinterpret_cast<const T*>(row_at(at, i)) + 4 * p, v);
            ASSAY_UNROLL
            for (int j = 0; j < 4; ++j) {
              sums[r * kPerRow] += folded[j] * v[j];
              sums[r * kPerRow + 1] += gradient[j] * v[j];
              sums[r * kPerRow + 2] += v[j] * v[j];
            }
          }
        }
      }
      const float sum = warp_sum<16>(warp_sum_each(sums));
      if (lane < present * kPerRow) {
        parts[(source(first + lane / kPerRow) * kPerRow + lane % kPerRow) * kGroupWarps +
              warp_index() % kGroupWarps] = sum;
      }
      slot += present;
      if (slot >= c.slots) slot -= c.slots;
    }
    sync_threads();

    // To all blocks of the cluster. Who sends for the next token but one has seen what was sent for
    // the next, by blocks that have read what was sent for this one.
    const int side = turn % 2;
    float* const mail = inbox + side * c.cluster * count;
    if (thread_index() == 0) {
      mbarrier_arrive_expect(&barriers[side], c.cluster * count * static_cast<int>(sizeof(float)));
    }
    for (int i = thread_index(); i < count * c.cluster; i += kThreads) {
      const int k = i / c.cluster;
      float sum = 0;
      ASSAY_UNROLL
      for (int w = 0; w < kGroupWarps; ++w) sum += parts[k * kGroupWarps + w];
      cluster_store(&mail[rank * count + k], i % c.cluster, sum, &barriers[side]);
    }
    load_gradient(t + token_step, next_d_o);

    // Softmax over depth and its backward.
    if (warp_index() == 0) {
      const float d_lse = a.d_lse.present() ? a.d_lse.load(t) : 0;
      mbarrier_wait_cluster(&barriers[side], turn / 2 % 2);
      softmax_backward(
          a, d_lse,
          [&](int n) {
            float all[kPerRow] = {};
            ASSAY_UNROLL
            for (int block = 0; block < kMaxCluster; ++block) {
              if (block >= c.cluster) break;
              ASSAY_UNROLL
              for (int i = 0; i < kPerRow; ++i) all[i] += mail[block * count + n * kPerRow + i];
            }
            return Sums{.score = all[0], .gain = all[1], .square = all[2]};
          },
          coefficients);
    }
    sync_threads();

    // Gradients.
    slot = first_slot;
    ASSAY_NO_UNROLL
    for (int first = 0; first < own_rows; first += kRows) {
      const int present = min(kRows, own_rows - first);
      Coefficients of[kRows];
      ASSAY_UNROLL
      for (int r = 0; r < kRows; ++r) of[r] = coefficients[source(min(first + r, own_rows - 1))];
      ASSAY_UNROLL
      for (int i = 0; i < kVectors; ++i) {
        ASSAY_UNROLL
        for (int r = 0; r < kRows; ++r) {
          if (r >= present) break;
          const int at = slot + r < c.slots ? slot + r : slot + r - c.slots;
          float out[kSize];
          ASSAY_UNROLL
          for (int p = 0; p < kSize / 4; ++p) {
            float folded[4], gradient[4], v[4];
            weights.get(0, i, p, folded);
            load_elements(reinterpret_cast<const T*>(d_o[i].words) + 4 * p, gradient);
            load_elements(reinterpret_cast<const T*>(row_at(at, i)) + 4 * p, v);
            ASSAY_UNROLL
            for (int j = 0; j < 4; ++j) {
              out[4 * p + j] =
                  of[r].alpha * gradient[j] + of[r].key * folded[j] - of[r].radial * v[j];
              x[i * kSize + 4 * p + j] += of[r].key * v[j];
            }
          }
          const std::int64_t row = a.row(source(first + r), t) + begin;
          if (a.accumulate) slice.add(a.given(), row, i, out);
          slice.store(a.d_v, row, i, out);
        }
      }
      slot += present;
      if (slot >= c.slots) slot -= c.slots;
      for (int r = 0; r < present; ++r) fetch_row();
    }
    first_slot = slot;
  }
  // X of all groups, in order, where the ring was.
  wait_async<0>();
  sync_threads();
  float* const all = reinterpret_cast<float*>(dyn_shared<Vector>());
  ASSAY_UNROLL
  for (int j = 0; j < kElements; ++j) all[j * kThreads + thread_index()] = x[j];
  sync_threads();
  if (group == 0) {
    const std::int64_t row = std::int64_t{cluster_index()} * a.dim + begin;
    ASSAY_UNROLL
    for (int i = 0; i < kVectors; ++i) {
      float sum[kSize] = {};
      ASSAY_UNROLL
      for (int g = 0; g < kGroups; ++g) {
        ASSAY_UNROLL
        for (int j = 0; j < kSize; ++j) {
          sum[j] += all[(i * kSize + j) * kThreads + g * kGroupThreads + thread_index()];
        }
      }
      slice.store({x_parts, DType::f32}, row, i, sum);
    }
  }
#endif
}

namespace {

// Nothing: does not fit. The fewest blocks that have room for two tokens, else for the most rows.
std::optional<Config> choose(const Problem& p) {
  const std::int64_t sources = p.dim("N"), dim = p.dim("D");
  const auto size = static_cast<std::int64_t>(size_of(p.dtype_of("V")));
  const std::int64_t row = std::int64_t{kMaxWidth} * size;
  const std::int64_t rows = ceil_div(sources, kGroups);  // of a group and token
  // What single elements of c pass through.
  const std::int64_t least = std::max<std::int64_t>(rows, 2);
  std::optional<Config> best;
  for (const int cluster : {2, 4, kMaxCluster}) {
    if (p.configuration["cluster"].value_or(cluster) != cluster) continue;
    const std::int64_t width = round_up(ceil_div(dim, cluster), kElements);
    const std::int64_t besides =
        kReserved + sources * static_cast<std::int64_t>(sizeof(Coefficients)) +
        sources * kPerRow * (kGroupWarps + 2 * cluster) * static_cast<std::int64_t>(sizeof(float));
    const std::int64_t room = (max_shared_bytes() - besides) / (kGroups * row);
    if (width > kMaxWidth || room < least) continue;
    const std::int64_t slots = std::min(room, std::max(least, 2 * rows));
    if (best && best->slots >= slots) continue;
    best = Config{cluster, static_cast<int>(width), static_cast<int>(slots),
                  kGroups * slots * row + besides - kReserved};
    if (slots >= 2 * rows) break;
  }
  return best;
}

std::vector<Configuration> configurations(const Problem& p) {
  std::vector<Configuration> all;
  Problem asked = p;
  for (const int cluster : {2, 4, kMaxCluster}) {
    asked.configuration = {{"cluster", cluster}};
    if (choose(asked)) all.push_back(asked.configuration);
  }
  return all;
}

std::string unsupported(const Problem& p) {
  const DType type = p.dtype_of("V");
  if (p.dim("Q") > 1) return "more than one query";
  if (p.dtype_of("dO") != type || p.dtype_of("dV") != type) return "V, dO and dV differ in dtype";
  if (!choose(p)) return "N·D does not fit into the shared memory of eight blocks";
  return too_large(p);
}

template <class T>
constexpr auto kKernel = gradients<T>;

// Of the launch; each writes its part of X.
std::int64_t clusters_of(const Problem& p) {
  const Config c = *choose(p);
  return dispatch(p.dtype_of("V"), [&]<class T>(std::type_identity<T>) {
    allow_shared(kKernel<T>, c.shared);
    return std::min(p.dim("T"), resident_clusters(kKernel<T>, kThreads, c.shared, c.cluster));
  });
}

Launch prepare(const Problem& p, const Buffers& buffers) {
  const Arguments a = arguments(p, buffers);
  const Config c = *choose(p);
  const std::int64_t clusters = clusters_of(p);
  auto* const x_parts = static_cast<float*>(buffers.workspace);
  return dispatch(p.dtype_of("V"), [&]<class T>(std::type_identity<T>) -> Launch {
    return [=](Stream stream) {
      launch(kKernel<T>,
             {.blocks = clusters * c.cluster,
              .threads = kThreads,
              .shared_bytes = c.shared,
              .cluster = c.cluster,
              .stream = stream},
             a, c, x_parts);
      launch_reduce(a, x_parts, clusters, stream);
    };
  });
}

Numerics numerics(const Problem& p) {
  const std::int64_t clusters = clusters_of(p);
  const std::int64_t own = ceil_div(p.dim("T"), clusters) * ceil_div(p.dim("N"), kGroups);
  Numerics numerics;
  // A thread's own sum, the tree of its warp, the warps of its group, the blocks.
  numerics.summation_height = height(kElements + 5 + kGroupWarps + choose(p)->cluster, 1);
  // The running sum of a group, then the groups, then the clusters.
  numerics.batch_height = height(own + kGroups + reduce_height(clusters), 1);
  return numerics;
}

}  // namespace

ASSAY_VARIANT(cluster){
    .op = "attnres_bwd",
    .name = "cluster",
    .summary = "as fused, a token held by all blocks of a cluster: for N·D beyond one block",
    .backend = kTwinBackend,
    .arch = {.min = 90},
    .numerics = numerics,
    .configurations = configurations,
    .unsupported = unsupported,
    .workspace = [](const Problem& p) { return Workspace{clusters_of(p) * p.dim("D") * 4}; },
    .prepare = prepare,
};

}  // namespace assay::ASSAY_TWIN::attnres_bwd_cluster
