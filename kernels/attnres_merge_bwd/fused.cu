// attnres_merge_bwd/fused: a block takes one token after the other; its rows of P, O1 and dH come
// from memory once and wait in registers for β, while those of the next token are on their way to
// other registers. X = Σ dl r P stays in registers over all tokens of a block; a second kernel adds
// up the blocks. Versus naive: 5 rows a token instead of 8. Rows that are unaligned, of several
// dtypes or too wide for registers go through a kernel that reads P and dH twice.
//
// Unlike the forward's it has to be resident: of short blocks each would write its X, D floats for
// the 2.5 D of a token. So the latency of a token's rows is hidden by loading them one token ahead:
// 12 KB in flight for each block of 128 threads at D = 2048 in 16 bits.
#include <optional>

#include "kernels/attnres_merge_bwd/arguments.h"
#include "kernels/device/atomic.h"
#include "kernels/device/slice.h"
#include "kernels/device/weight_gradient.h"

namespace assay::ASSAY_TWIN::attnres_merge_bwd_fused {

using namespace attnres_merge_bwd;

// What determines registers: the vectors of a row that a thread owns.
template <int kVectors_, int kMaxThreads_, int kMinBlocks_>
struct Shape {
  static constexpr int kVectors = kVectors_;
  static constexpr int kMaxThreads = kMaxThreads_, kMinBlocks = kMinBlocks_;
};

// How a problem is cut.
struct Config {
  int vectors, max_threads;  // select the Shape
  int threads;               // threads * vectors vectors hold a row
};

// Where X goes: the partial sums of each block, or one sum to which all blocks add.
struct Target {
  float* x;  // (blocks, D) or (D)
  bool atomic;
};

// A token as a thread holds it.
template <int kVectors>
struct Token {
  Vector p[kVectors], o1[kVectors], d_h[kVectors];
  float l1, d_lse;
};

// P, O1, dH, dP and dO1 are all of T, and vectors may be used. kPlain: w is of T, too, there is no
// g, and L1, dL1 and dLSE are f32: no dtype is looked at. Blocks take tokens in turn.
template <class T, class S, bool kAdds, bool kPlain>
ASSAY_KERNEL(S::kMaxThreads, S::kMinBlocks)
void fused(Arguments a, Target target) {
  constexpr int kSize = kVectorSize<T>, kVectors = S::kVectors;
  constexpr int kSums = 4;  // score, square, gain and nothing
  constexpr int kWarps = S::kMaxThreads / kWarpSize;
  ASSAY_SHARED(partial, [2][kWarps][kSums], float);

  const Slice<T> slice = {a.dim, true};
  const int lane = lane_index();
  const auto fetch = [&](std::int64_t t, Token<kVectors>& token) {
    if (t >= a.tokens) return;
    const std::int64_t row = t * a.dim;
    ASSAY_UNROLL
    for (int i = 0; i < kVectors; ++i) {
      token.p[i] = slice.load(a.p.as<T>() + row, i);
      token.o1[i] = slice.load(a.o1.as<T>() + row, i);
      token.d_h[i] = slice.load(a.d_h.as<T>() + row, i);
    }
    if constexpr (kPlain) {
      token.l1 = a.l1.as<float>()[t];
      token.d_lse = a.d_lse.present() ? a.d_lse.as<float>()[t] : 0;
    } else {
      token.l1 = a.l1.load(t);
      token.d_lse = lse_cotangent(a, t);
    }
  };
  const auto widened = [](const Vector& from, float(&to)[kSize]) {
    ASSAY_UNROLL
    for (int j = 0; j < kSize; ++j) to[j] = element<T>(from.words, j);
  };

  // c = w⊙g of vector i, from L1: registers are for rows.
  const auto load_c = [&](int i, float(&c)[kSize]) {
    ASSAY_UNROLL
    for (int j = 0; j < kSize; ++j) c[j] = 0;
    if (slice.first(i) >= a.dim) return;
    if constexpr (kPlain) {
      load_elements(a.w.as<T>() + slice.first(i), c);
    } else {
      load_weights(a.w, a.g, slice.first(i), c);
    }
  };

  const bool in_place = a.d_p.data == a.d_h.data;  // what is added to is dH
  Token<kVectors> now = {}, next = {};
  fetch(block_index(), next);
  float x[kVectors][kSize] = {};  // X, of this thread's slice

  int buffer = 0;
  for (std::int64_t t = block_index(); t < a.tokens; t += num_blocks(), buffer ^= 1) {
    now = next;
    fetch(t + num_blocks(), next);

    // Sums over D: this thread's part, then the block's. Two buffers: one barrier is enough.
    Sums own = {};
    ASSAY_UNROLL
    for (int i = 0; i < kVectors; ++i) {
      float p[kSize], o1[kSize], d_h[kSize], c[kSize];
      load_c(i, c);
      widened(now.p[i], p);
      widened(now.o1[i], o1);
      widened(now.d_h[i], d_h);
      add_part(p, o1, d_h, c, own);
    }
    const float parts[kSums] = {own.score, own.square, own.gain, 0};
    const float warp = warp_sum<kSums>(warp_sum_each(parts));
    if (lane < kSums) partial[buffer][warp_index()][lane] = warp;
    sync_threads();
    const float* const sums = partial[buffer][0];
    const Sums all = {sum_over_warps<kWarps>(sums, kSums), sum_over_warps<kWarps>(sums + 1, kSums),
                      sum_over_warps<kWarps>(sums + 2, kSums)};

    // Gradients.
    const Coefficients of = merge_backward(a, all, now.l1, now.d_lse);
    ASSAY_UNROLL
    for (int i = 0; i < kVectors; ++i) {
      float p[kSize], d_h[kSize], c[kSize], d_p[kSize] = {}, d_o1[kSize];
      load_c(i, c);
      widened(now.p[i], p);
      widened(now.d_h[i], d_h);
      // Not loaded ahead: registers would not do.
      if constexpr (kAdds) {
        widened(in_place ? now.d_h[i] : slice.load(a.d_p.as<T>() + t * a.dim, i), d_p);
      }
      differentiate_part(of, p, d_h, c, d_p, d_o1);
      slice.store({a.d_p.data, dtype_of<T>}, t * a.dim, i, d_p);
      slice.store({a.d_o1.data, dtype_of<T>}, t * a.dim, i, d_o1);
      ASSAY_UNROLL
      for (int j = 0; j < kSize; ++j) x[i][j] += of.key * p[j];
    }
    if (thread_index() > 0) continue;
    if constexpr (kPlain) {
      a.d_l1.as<float>()[t] = of.d_l1;
    } else {
      a.d_l1.store(t, of.d_l1);
    }
  }

  // X.
  ASSAY_UNROLL
  for (int i = 0; i < kVectors; ++i) {
    if (!target.atomic) {
      slice.store({target.x, DType::f32}, static_cast<std::int64_t>(block_index()) * a.dim, i,
                  x[i]);
      continue;
    }
    ASSAY_UNROLL
    for (int j = 0; j < kSize; ++j) {
      if (slice.first(i) + j < a.dim) atomic_add(target.x + slice.first(i) + j, x[i][j]);
    }
  }
}

// Any sizes and dtypes: one token at a time, X in global memory.
constexpr int kWideThreads = 512;
template <int kThreads>
ASSAY_KERNEL(kThreads)
void wide(Arguments a, float* partial) {
  float* const x = partial + static_cast<std::int64_t>(block_index()) * a.dim;
  for (std::int64_t t = block_index(); t < a.tokens; t += num_blocks()) {
    const Coefficients of = merge_backward(a, add_up_row(a, t), a.l1.load(t), lse_cotangent(a, t));
    const bool first = t == block_index();
    differentiate_row(a, t, of, [&]<int kCount>(int d, const float(&p)[kCount]) {
      ASSAY_UNROLL
      for (int j = 0; j < kCount; ++j) x[d + j] = of.key * p[j] + (first ? 0 : x[d + j]);
    });
    if (thread_index() == 0) a.d_l1.store(t, of.d_l1);
  }
}

template <int kThreads>
ASSAY_KERNEL(kThreads)
void clear(float* x, std::int64_t count) {
  const std::int64_t i = static_cast<std::int64_t>(block_index()) * kThreads + thread_index();
  if (i < count) x[i] = 0;
}

namespace {

constexpr std::int64_t kWideBlocks = 264;  // two for each multiprocessor of an H100

// Calls f(Shape) with the instantiation of the config; the list is all there is.
template <class F>
auto with_shape(const Config& config, const F& f) {
  decltype(f(Shape<1, 128, 5>{})) result = {};
  const auto offer = [&]<class S>(S shape) {
    if (S::kVectors == config.vectors && S::kMaxThreads == config.max_threads) result = f(shape);
  };
  offer(Shape<1, 128, 5>{});
  offer(Shape<2, 128, 4>{});
  offer(Shape<2, 256, 2>{});
  offer(Shape<2, 512, 1>{});
  return result;
}

// Nothing: `wide`.
std::optional<Config> choose(const Problem& p) {
  const DType type = p.dtype_of("P");
  for (const char* name : {"O1", "dH", "dP", "dO1"})
    if (p.dtype_of(name) != type) return {};
  const auto size = static_cast<std::int64_t>(sizeof(Vector) / size_of(type));
  for (const auto& [vectors, max_threads] : {std::pair{1, 128}, {2, 128}, {2, 256}, {2, 512}}) {
    const std::int64_t threads = round_up(ceil_div(p.dim("D"), vectors * size), kWarpSize);
    if (threads <= max_threads) return Config{vectors, max_threads, static_cast<int>(threads)};
  }
  return {};
}

// Whether to take a kernel that looks at no dtype. Measured on an H100, T = 16384: where it adds to
// dP 149 µs with it for 167 at D = 2048; where it does not, 431 for 457 at D = 7168, but 132 for
// 130 at D = 2048 and 249 for 241 at 4096.
bool takes_plain(const Problem& p, const Config& config) {
  const bool can = p.dtype_of("w") == p.dtype_of("P") && !p.has("g") &&
                   p.dtype_of("L1") == DType::f32 && p.dtype_of("dL1") == DType::f32 &&
                   (!p.has("dLSE") || p.dtype_of("dLSE") == DType::f32);
  return can && (p.flag("accumulate") || config.max_threads > 256);
}

// Calls f(kernel) with what the problem takes of `fused`.
template <class T, class S, class F>
auto with_kernel(bool adds, bool plain, const F& f) {
  if (adds) return plain ? f(fused<T, S, true, true>) : f(fused<T, S, true, false>);
  return plain ? f(fused<T, S, false, true>) : f(fused<T, S, false, false>);
}
template <class F>
auto with_kernel(const Problem& p, const Config& config, const F& f) {
  return dispatch(p.dtype_of("P"), [&]<class T>(std::type_identity<T>) {
    return with_shape(config, [&]<class S>(S) {
      return with_kernel<T, S>(p.flag("accumulate"), takes_plain(p, config), f);
    });
  });
}

// Blocks of the launch that sums up X.
std::int64_t blocks_of(const Problem& p) {
  const auto c = choose(p);
  if (!c) return std::min(p.dim("T"), kWideBlocks);
  return with_kernel(p, *c, [&](auto kernel) {
    return std::min(p.dim("T"), resident_blocks(kernel, c->threads, 0));
  });
}

// Where rows are not aligned, `wide` has as many blocks.
Launch prepare(const Problem& p, const Buffers& buffers, bool atomic) {
  const Arguments a = arguments(p, buffers);
  const std::int64_t blocks = blocks_of(p);
  auto* const x = static_cast<float*>(buffers.workspace);
  const auto c = choose(p);
  if (!c || !a.aligned) {
    return [=](Stream stream) {
      launch(wide<kWideThreads>, {.blocks = blocks, .threads = kWideThreads, .stream = stream}, a,
             x);
      launch_reduce(a, x, blocks, stream);
    };
  }
  return with_kernel(p, *c, [&](auto kernel) -> Launch {
    return [=, threads = c->threads](Stream stream) {
      if (atomic) {
        launch(clear<256>, {.blocks = ceil_div(a.dim, 256), .threads = 256, .stream = stream}, x,
               std::int64_t{a.dim});
      }
      launch(kernel, {.blocks = blocks, .threads = threads, .stream = stream}, a,
             Target{x, atomic});
      launch_reduce(a, x, atomic ? 1 : blocks, stream);
    };
  });
}

// The larger of what `fused` and `wide` have: buffers decide which it is.
Numerics numerics(const Problem& p, bool atomic) {
  const std::int64_t blocks = blocks_of(p), own = ceil_div(p.dim("T"), blocks);
  // The running sum of a block, then those of the blocks, in any order where they are atomic.
  const std::int64_t others = std::max(reduce_height(blocks), atomic ? blocks + 4 : 0);
  Numerics numerics;
  numerics.batch_height = height(own + others, 1);
  numerics.summation_height = block_sum_height(p.dim("D"), DType::bf16, kWideThreads);
  if (const auto c = choose(p)) {
    const std::int64_t size = static_cast<std::int64_t>(sizeof(Vector) / size_of(p.dtype_of("P")));
    const std::int64_t chain = c->vectors * size + 5 + c->threads / kWarpSize;
    numerics.summation_height = std::max(numerics.summation_height, height(chain, 1));
  }
  return numerics;
}

Variant variant(std::string name, std::string summary, bool atomic) {
  Variant v;
  v.op = "attnres_merge_bwd";
  v.name = std::move(name);
  v.summary = std::move(summary);
  v.backend = kTwinBackend;
  v.arch = {.min = 80};
  v.repeatability = atomic ? Repeatability::order_dependent : Repeatability::bitwise;
  v.numerics = [=](const Problem& p) { return numerics(p, atomic); };
  v.unsupported = [=](const Problem& p) -> std::string {
    if (atomic && !choose(p)) return "sums in registers need rows of one dtype, D up to 512 × 32 B";
    return too_large(p);
  };
  v.workspace = [](const Problem& p) { return Workspace{blocks_of(p) * p.dim("D") * 4}; };
  v.prepare = [=](const Problem& p, const Buffers& buffers) { return prepare(p, buffers, atomic); };
  return v;
}

}  // namespace

ASSAY_VARIANT(fused)
(variant("fused", "P, O1 and dH read once, a token ahead; dw summed in a fixed order", false));

// What the fixed order costs: the same kernel with atomic additions at the end.
ASSAY_VARIANT(fused_atomic)
(variant("fused_atomic", "as fused, with atomic additions to dw", true));

}  // namespace assay::ASSAY_TWIN::attnres_merge_bwd_fused
