// attnres_merge_fwd/fused: a block takes one token after the other; its rows of P, O1 and U come
// from memory once and wait in shared memory for β. Versus naive: 6D elements' bytes a token
// instead of 10D, 10D instead of 16D with an update. Loses its lead where tokens are fewer than
// multiprocessors.
//
// It lives on bytes in flight. Copies to shared memory hold no registers, so blocks run ahead of
// themselves: while a token is worked on the rows of the next two are under way, of the next one
// with an update. At D = 2048 in bf16 that is 16 KB a block of 128 threads (12 KB with an update),
// in 24 KB of shared memory: nine blocks a multiprocessor, 108 to 144 KB in flight where 32 to 64
// cover the latency; at D = 7168, two blocks of 224 threads and 84 to 112 KB. The one barrier a
// token costs nothing as long as other blocks have rows to work on, hence many small blocks of
// threads with 8 to 32 elements each. The grid is what is resident at once: c is folded once a
// block, and rings never drain. Stores are plain 16-byte vectors.
#include <optional>

#include "kernels/attnres_merge_fwd/arguments.h"
#include "kernels/device/launch.h"
#include "kernels/device/slice.h"

namespace assay::ASSAY_TWIN::attnres_merge_fwd_fused {

using namespace attnres_merge_fwd;

// What determines registers: the hidden elements that a thread owns.
template <int kElements_, int kMaxThreads_, int kMinBlocks_ = 1>
struct Shape {
  static constexpr int kElements = kElements_;
  static constexpr int kMaxThreads = kMaxThreads_, kMinBlocks = kMinBlocks_;
};

struct Config {
  int elements;  // selects the Shape
  int threads;   // threads * elements >= D
};

// Of the ring: the tokens that it holds, one of which is worked on, and the rows of each.
template <bool kUpdates>
inline constexpr int kStages = kUpdates ? 2 : 3;
template <bool kUpdates>
inline constexpr int kRows = kUpdates ? 3 : 2;

// P, O1, U and H are all of T.
template <class T, class S, bool kUpdates>
ASSAY_KERNEL(S::kMaxThreads, S::kMinBlocks)
void fused(Arguments<T> a) {
  constexpr int kSize = kVectorSize<T>, kVectors = S::kElements / kSize;
  constexpr int kP = 0, kO1 = 1, kU = 2;  // rows of a stage
  ASSAY_SHARED(partial, [2][S::kMaxThreads / kWarpSize][2], float);

  const Slice<T> slice = {a.dim, a.aligned};
  const int lane = lane_index();

  // A thread reads back from the ring only what it copied itself: the ring needs no barrier.
  Vector* ring = dyn_shared<Vector>() + thread_index();
  const auto at = [&](int stage, int row, int i) {
    return ring + ((stage * kRows<kUpdates> + row) * kVectors + i) * num_threads();
  };

  // c of this thread's slice. The ring is still unused.
  float c[kVectors][kSize] = {};
  ASSAY_UNROLL
  for (int i = 0; i < kVectors; ++i) {
    slice.fold_weights(a.w, a.g, 0, i, at(0, kP, i), at(0, kO1, i), c[i]);
  }

  std::int64_t next_token = block_index();
  const auto fetch_next = [&](int stage) {
    if (next_token < a.tokens) {
      const std::int64_t row = next_token * a.dim;
      ASSAY_UNROLL
      for (int i = 0; i < kVectors; ++i) {
        slice.fetch(at(stage, kP, i), a.p + row, i);
        if constexpr (kUpdates) slice.fetch(at(stage, kU, i), a.u.template as<T>() + row, i);
      }
      ASSAY_UNROLL
      for (int i = 0; i < kVectors; ++i) {
        slice.fetch(at(stage, kO1, i), a.o1.template as<T>() + row, i);
      }
      next_token += num_blocks();
    }
    commit_async();
  };
  ASSAY_UNROLL
  for (int s = 0; s < kStages<kUpdates>; ++s) fetch_next(s);

  int stage = 0, buffer = 0;
  for (std::int64_t t = block_index(); t < a.tokens; t += num_blocks()) {
    const std::int64_t row = t * a.dim;
    const float l1 = a.l1.load(t);
    wait_async<kStages<kUpdates> - 1>();

    // Update: the ring, too, keeps what is stored. Scores and squares, this thread's part.
    float sums[2] = {};
    ASSAY_UNROLL
    for (int i = 0; i < kVectors; ++i) {
      T* const p = reinterpret_cast<T*>(at(stage, kP, i));
      float x[kSize];
      load_elements(p, x);
      if constexpr (kUpdates) {
        float u[kSize];
        load_elements(reinterpret_cast<const T*>(at(stage, kU, i)), u);
        ASSAY_UNROLL
        for (int j = 0; j < kSize; ++j) x[j] = widen(narrow<T>(x[j] + u[j]));
        store_elements(p, x);
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
    if (lane < 2) partial[buffer][warp_index()][lane] = part;
    sync_threads();
    float dot = 0, square = 0;
    for (int w = 0; w < num_warps(); ++w) {
      dot += partial[buffer][w][0];
      square += partial[buffer][w][1];
    }
    buffer ^= 1;

    // β and LSE, H.
    const float r = reciprocal_sqrt(square / static_cast<float>(a.dim) + a.eps);
    const Weights both = weigh(r * dot, l1);
    ASSAY_UNROLL
    for (int i = 0; i < kVectors; ++i) {
      float x[kSize], o1[kSize], h[kSize];
      load_elements(reinterpret_cast<const T*>(at(stage, kP, i)), x);
      load_elements(reinterpret_cast<const T*>(at(stage, kO1, i)), o1);
      mix(both.beta, x, o1, h);
      slice.store(a.h, row, i, h);
    }
    if (thread_index() == 0) a.lse.store(t, both.lse);

    fetch_next(stage);
    stage = stage + 1 == kStages<kUpdates> ? 0 : stage + 1;
  }
}

// Rows of several dtypes, or too wide for the ring: one block per token, P once more for the mix.
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

// Calls f(Shape) with the instantiation of the config; the list is all there is.
template <class F>
Launch with_shape(const Config& config, const F& f) {
  Launch result;
  const auto offer = [&]<class S>(S shape) {
    if (S::kElements == config.elements) result = f(shape);
  };
  offer(Shape<8, 128, 8>{});
  offer(Shape<16, 128, 8>{});
  offer(Shape<24, 128, 6>{});
  offer(Shape<32, 256, 2>{});
  offer(Shape<64, 256>{});
  return result;
}

// Dynamic shared memory of a block: the ring.
std::int64_t shared_bytes(const Config& c, const Problem& p) {
  const std::int64_t rows =
      p.has("U") ? kStages<true> * kRows<true> : kStages<false> * kRows<false>;
  return rows * c.threads * c.elements * static_cast<std::int64_t>(size_of(p.dtype_of("P")));
}

// Each max_threads is that of the Shape. Nothing: for `wide`.
std::optional<Config> choose(const Problem& p) {
  for (const char* name : {"O1", "U", "H"}) {
    if (p.dtype_of(name) != p.dtype_of("P") && (p.has(name))) return {};
  }
  for (const auto& [elements, max_threads] :
       {std::pair{8, 128}, {16, 128}, {24, 128}, {32, 256}, {64, 256}}) {
    const std::int64_t threads = round_up(ceil_div(p.dim("D"), elements), kWarpSize);
    if (threads > max_threads) continue;
    const Config c = {elements, static_cast<int>(threads)};
    // Less what a block keeps besides.
    if (shared_bytes(c, p) <= max_shared_bytes() - (2 << 10)) return c;
  }
  return {};
}

template <class T, class S, bool kUpdates>
Launch prepare_fused(const Arguments<T>& a, const Config& c, std::int64_t shared) {
  const auto kernel = fused<T, S, kUpdates>;
  allow_shared(kernel, shared);
  const std::int64_t blocks = std::min(resident_blocks(kernel, c.threads, shared), a.tokens);
  return [=, threads = c.threads](Stream stream) {
    launch(kernel, {.blocks = blocks, .threads = threads, .shared_bytes = shared, .stream = stream},
           a);
  };
}

template <class T>
Launch prepare(const Problem& p, const Buffers& buffers) {
  const Arguments<T> a = arguments<T>(p, buffers);
  if (const auto config = choose(p)) {
    const std::int64_t shared = shared_bytes(*config, p);
    return with_shape(*config, [&]<class S>(S) {
      return a.u.data != nullptr ? prepare_fused<T, S, true>(a, *config, shared)
                                 : prepare_fused<T, S, false>(a, *config, shared);
    });
  }
  constexpr std::int64_t kMostBlocks = std::int64_t{1} << 30;  // the kernel loops over the rest
  return [=, blocks = std::min(a.tokens, kMostBlocks)](Stream stream) {
    launch(wide<T>, {.blocks = blocks, .threads = kWideThreads, .stream = stream}, a);
  };
}

Numerics numerics(const Problem& p) {
  if (const auto c = choose(p)) {
    // A thread's own sum, the tree of its warp, then one warp after the other.
    const std::int64_t chain = c->elements + 5 + c->threads / kWarpSize;
    return {.summation_height = height(chain, 1)};
  }
  return {.summation_height = block_sum_height(p.dim("D"), p.dtype_of("P"), kWideThreads)};
}

}  // namespace

ASSAY_VARIANT(fused){
    .op = "attnres_merge_fwd",
    .name = "fused",
    .summary = "one pass: rows read once, asynchronously, several tokens ahead",
    .backend = kTwinBackend,
    .arch = {.min = 80},
    .repeatability = Repeatability::batch_invariant,
    .numerics = numerics,
    .unsupported = too_large,
    .prepare =
        [](const Problem& p, const Buffers& buffers) {
          return dispatch(p.dtype_of("P"),
                          [&]<class T>(std::type_identity<T>) { return prepare<T>(p, buffers); });
        },
};

}  // namespace assay::ASSAY_TWIN::attnres_merge_fwd_fused
