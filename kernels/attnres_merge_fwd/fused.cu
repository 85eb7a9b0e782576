// attnres_merge_fwd/fused: a short block for each token; its rows of P, O1 and U come from memory
// once and wait in registers for β. Versus naive: 6D elements' bytes a token instead of 10D, 10D
// instead of 16D with an update. Loses its lead where tokens are fewer than multiprocessors.
//
// It lives on bytes in flight: 4 to 8 loads of 16 bytes a thread, all issued before the first is
// needed, and as many blocks as registers allow, of which some load while others wait at the one
// barrier. On an H100 128 threads of two vectors a row did best at D = 2048: 72.5 µs for 16384
// tokens (70.8 since dtypes are known when compiling), one warp of eight 75.1 µs. A grid of
// resident blocks, each with a ring of rows in shared memory for its next tokens, took 80.4 µs
// there and lost 5 to 10 % at every other size: work was shared out before it was known who is
// late, and every block began by folding c. Here w and g are read for each token, from L1.
#include <optional>

#include "kernels/attnres_merge_fwd/arguments.h"
#include "kernels/device/launch.h"
#include "kernels/device/slice.h"

namespace assay::ASSAY_TWIN::attnres_merge_fwd_fused {

using namespace attnres_merge_fwd;

constexpr int kMaxThreads = 256;

// Blocks a multiprocessor that registers must allow.
template <int kVectors>
inline constexpr int kMinBlocks = kVectors <= 4 ? 8 / kVectors : 1;

// P, O1, U and H are all of T, and vectors may be used; D <= threads * kVectors vectors. kPlain: w
// is of T, too, there is no g, and L1 and LSE are f32. No dtype is looked at then: 1.6 of 72 µs.
template <class T, int kVectors, bool kUpdates, bool kPlain>
ASSAY_KERNEL(kMaxThreads, kMinBlocks<kVectors>)
void fused(Arguments<T> a, float inverse_dim) {
  constexpr int kSize = kVectorSize<T>, kWarps = kMaxThreads / kWarpSize;
  ASSAY_SHARED(partial, [2][kWarps][2], float);

  const Slice<T> slice = {a.dim, true};
  int buffer = 0;
  for (std::int64_t t = block_index(); t < a.tokens; t += num_blocks(), buffer ^= 1) {
    const std::int64_t row = t * a.dim;
    Vector p[kVectors], o1[kVectors], u[kUpdates ? kVectors : 1];
    ASSAY_UNROLL
    for (int i = 0; i < kVectors; ++i) {
      p[i] = slice.load(a.p + row, i);
      if constexpr (kUpdates) u[i] = slice.load(a.u.template as<T>() + row, i);
    }
    ASSAY_UNROLL
    for (int i = 0; i < kVectors; ++i) o1[i] = slice.load(a.o1.template as<T>() + row, i);
    const float l1 = kPlain ? a.l1.template as<float>()[t] : a.l1.load(t);
    // After the rows have been asked for, before the first of them is waited for.
    float c[kVectors][kSize] = {};
    ASSAY_UNROLL
    for (int i = 0; i < kVectors; ++i) {
      const int d = slice.first(i);
      if (d >= a.dim) break;
      if constexpr (kPlain) {
        load_elements(a.w.template as<T>() + d, c[i]);
      } else {
        load_weights(a.w, a.g, d, c[i]);
      }
    }

    // Update. Scores and squares, this thread's part.
    float sums[2] = {};
    ASSAY_UNROLL
    for (int i = 0; i < kVectors; ++i) {
      float x[kSize];
      ASSAY_UNROLL
      for (int j = 0; j < kSize; ++j) x[j] = element<T>(p[i].words, j);
      if constexpr (kUpdates) {
        ASSAY_UNROLL
        for (int j = 0; j < kSize; ++j) {
          x[j] = widen(narrow<T>(x[j] + element<T>(u[i].words, j)));
        }
        store_elements(reinterpret_cast<T*>(&p[i]), x);
        slice.store({a.p, dtype_of<T>}, row, i, x);
      }
      ASSAY_UNROLL
      for (int j = 0; j < kSize; ++j) {
        sums[0] += c[i][j] * x[j];
        sums[1] += x[j] * x[j];
      }
    }

    // Block sums. Two buffers: one barrier a token is enough.
    const float part = warp_sum<2>(warp_sum_each(sums));
    if (lane_index() < 2) partial[buffer][warp_index()][lane_index()] = part;
    sync_threads();
    const float dot = sum_over_warps<kWarps>(&partial[buffer][0][0], 2);
    const float square = sum_over_warps<kWarps>(&partial[buffer][0][1], 2);

    // β and LSE, H.
    const float r = reciprocal_sqrt_positive(square * inverse_dim + a.eps);
    const Weights both = weigh(r * dot, l1);
    ASSAY_UNROLL
    for (int i = 0; i < kVectors; ++i) {
      float x[kSize], y[kSize], h[kSize];
      ASSAY_UNROLL
      for (int j = 0; j < kSize; ++j) {
        x[j] = element<T>(p[i].words, j);
        y[j] = element<T>(o1[i].words, j);
      }
      mix(both.beta, x, y, h);
      slice.store({a.h.data, dtype_of<T>}, row, i, h);
    }
    if (thread_index() > 0) continue;
    if constexpr (kPlain) {
      a.lse.template as<float>()[t] = both.lse;
    } else {
      a.lse.store(t, both.lse);
    }
  }
}

// Rows of several dtypes, too wide for registers or not aligned: one block per token, P once more
// for the mix.
constexpr int kWideThreads = 512;
template <class T>
ASSAY_KERNEL(kWideThreads)
void wide(Arguments<T> a) {
  for (std::int64_t t = block_index(); t < a.tokens; t += num_blocks()) {
    const std::int64_t row = t * a.dim;
    float dot = 0, square = 0;
    for_each_part<kVectorSize<T>>(a.aligned, 0, a.dim, [&]<int kCount>(int d, Count<kCount>) {
      float x[kCount], c[kCount];
      update_part(a, row + d, x);
      load_weights(a.w, a.g, d, c);
      ASSAY_UNROLL
      for (int j = 0; j < kCount; ++j) {
        dot += c[j] * x[j];
        square += x[j] * x[j];
      }
    });
    dot = block_sum(dot);
    square = block_sum(square);
    const float r = reciprocal_sqrt(square / static_cast<float>(a.dim) + a.eps);
    const Weights both = weigh(r * dot, a.l1.load(t));
    for_each_part<kVectorSize<T>>(a.aligned, 0, a.dim, [&]<int kCount>(int d, Count<kCount>) {
      float x[kCount], o1[kCount], h[kCount];
      load_part(a.p, row + d, x);
      load_part(a.o1, row + d, o1);
      mix(both.beta, x, o1, h);
      store_part(a.h, row + d, h);
    });
    if (thread_index() == 0) a.lse.store(t, both.lse);
  }
}

namespace {

constexpr std::int64_t kMostBlocks = std::int64_t{1} << 30;  // a kernel loops over the rest

std::int64_t vector_size(const Problem& p) {
  return static_cast<std::int64_t>(sizeof(Vector) / size_of(p.dtype_of("P")));
}

// How many vectors of a row a thread owns, and how many threads there are.
struct Config {
  int vectors, threads;
};

// Where rows are aligned.
std::vector<Config> all_configs(const Problem& p) {
  for (const char* name : {"O1", "U", "H"}) {
    if (p.has(name) && p.dtype_of(name) != p.dtype_of("P")) return {};
  }
  const auto size = vector_size(p);
  if (p.dim("D") % size != 0) return {};
  std::vector<Config> all;
  for (const int vectors : {2, 3, 4, 8}) {
    const std::int64_t threads = round_up(ceil_div(p.dim("D") / size, vectors), kWarpSize);
    if (threads <= kMaxThreads) all.push_back({vectors, static_cast<int>(threads)});
  }
  return all;
}

// What tuning tries.
std::vector<Configuration> configurations(const Problem& p) {
  std::vector<Configuration> all;
  for (const Config& config : all_configs(p)) all.push_back({{"vectors", config.vectors}});
  return all;
}

// Of several shapes with the fewest idle lanes the one with most threads. Nothing: for `wide`.
std::optional<Config> choose(const Problem& p) {
  std::optional<Config> best;
  const auto asked = p.configuration["vectors"];
  for (const Config& config : all_configs(p)) {
    if (asked ? config.vectors == *asked
              : !best || config.threads * config.vectors < best->threads * best->vectors) {
      best = config;
    }
  }
  return best;
}

template <class T, bool kUpdates, bool kPlain>
auto kernel_for(const Config& config) {
  switch (config.vectors) {
    case 2:
      return fused<T, 2, kUpdates, kPlain>;
    case 3:
      return fused<T, 3, kUpdates, kPlain>;
    case 4:
      return fused<T, 4, kUpdates, kPlain>;
    default:
      return fused<T, 8, kUpdates, kPlain>;
  }
}
template <class T>
auto kernel_for(const Config& config, const Arguments<T>& a) {
  const bool plain = a.w.dtype == dtype_of<T> && a.g.data == nullptr && a.l1.dtype == DType::f32 &&
                     a.lse.dtype == DType::f32;
  if (a.u.data != nullptr)
    return plain ? kernel_for<T, true, true>(config) : kernel_for<T, true, false>(config);
  return plain ? kernel_for<T, false, true>(config) : kernel_for<T, false, false>(config);
}

template <class T>
Launch prepare(const Problem& p, const Buffers& buffers) {
  const Arguments<T> a = arguments<T>(p, buffers);
  const auto config = choose(p);
  const std::int64_t blocks = std::min(a.tokens, kMostBlocks);
  if (!config || !a.aligned) {
    return [=](Stream stream) {
      launch(wide<T>, {.blocks = blocks, .threads = kWideThreads, .stream = stream}, a);
    };
  }
  return [=, kernel = kernel_for(*config, a), threads = config->threads](Stream stream) {
    launch(kernel, {.blocks = blocks, .threads = threads, .stream = stream}, a,
           1.0f / static_cast<float>(a.dim));
  };
}

Numerics numerics(const Problem& p) {
  const double wide_height = block_sum_height(p.dim("D"), p.dtype_of("P"), kWideThreads);
  const auto c = choose(p);
  if (!c) return {.summation_height = wide_height};
  // A thread's own sum, the tree of its warp, then one warp after the other.
  const auto size = vector_size(p);
  const std::int64_t chain = c->vectors * size + 5 + c->threads / kWarpSize;
  // A tensor that is not aligned is for `wide`.
  return {.summation_height = std::max(height(chain, 1), wide_height)};
}

}  // namespace

ASSAY_VARIANT(fused){
    .op = "attnres_merge_fwd",
    .name = "fused",
    .summary = "one pass: a block for each token, whose rows wait in registers",
    .backend = kTwinBackend,
    .arch = {.min = 80},
    .repeatability = Repeatability::batch_invariant,
    .numerics = numerics,
    .configurations = configurations,
    .unsupported = too_large,
    .prepare =
        [](const Problem& p, const Buffers& buffers) {
          return dispatch(p.dtype_of("P"),
                          [&]<class T>(std::type_identity<T>) { return prepare<T>(p, buffers); });
        },
};

}  // namespace assay::ASSAY_TWIN::attnres_merge_fwd_fused
