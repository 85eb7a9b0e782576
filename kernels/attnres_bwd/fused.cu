// attnres_bwd/fused: a block holds all sources of a token in shared memory, reads them from memory
// once for the scores, for ⟨dO, v⟩ and for the gradients, and writes dV as it goes; a slot is
// refilled with a row of a later token as soon as its row is done, so that reads never stop. Each
// block keeps its sum of X = Σ ds r V in registers over all of its tokens; a second kernel adds
// those up. Versus naive: V and dO once instead of 2 + 4Q times. Where N·D is too large for shared
// memory, or queries are many, it falls back to a kernel that reads V again from L2.
#include <bit>

#include "kernels/attnres_bwd/softmax.h"
#include "kernels/attnres_bwd/wide.h"
#include "kernels/attnres_fwd/slice.h"
#include "kernels/device/atomic.h"
#include "kernels/device/weight_gradient.h"

namespace assay::ASSAY_TWIN::attnres_bwd_fused {

using namespace attnres_bwd;
using attnres_fwd::Weights;

// What determines registers: the hidden elements that a thread owns, and the queries it answers.
template <int kElements_, int kQueries_, int kMaxThreads_, int kMinBlocks_>
struct Shape {
  static constexpr int kElements = kElements_, kQueries = kQueries_;
  static constexpr int kMaxThreads = kMaxThreads_, kMinBlocks = kMinBlocks_;
  // Rows of V at once. Three divide the usual nine: with four, one more pass for the last row made
  // N = 9 T = 4096 D = 7168 8 % slower on an H100, and N = 8 no faster.
  static constexpr int kRows = kQueries == 1 ? 3 : 2;
  static constexpr int kDotSums = std::bit_ceil(2u * kQueries * kRows);  // as warp_sum_each wants
  static constexpr int kSquareSums = std::bit_ceil(static_cast<unsigned>(kRows));
};

// How a problem is cut; see `choose`.
struct Config {
  int elements, queries, max_threads;  // select the Shape
  int threads;                         // threads * elements >= D
  int slots;                           // rows of V in shared memory, at least N
  std::int64_t shared;
};

// Where X goes: the partial sums of each block, or one sum to which all blocks add.
struct Target {
  float* x;  // (blocks, Q, D) or (Q, D)
  bool atomic;
};

// Blocks take tokens in turn.
template <class T, class S>
ASSAY_KERNEL(S::kMaxThreads, S::kMinBlocks)
void fused(Arguments a, int slots, Target target) {
  constexpr int kSize = kVectorSize<T>, kVectors = S::kElements / kSize;
  constexpr int kQueries = S::kQueries, kRows = S::kRows;
  constexpr int kDots = 2 * kQueries;  // of a row: scores and gains

  const Slice<T> slice = {a.dim, a.aligned};
  const int lane = lane_index(), tokens = static_cast<int>(a.tokens);
  const int row_vectors = kVectors * num_threads();
  const int token_step = num_blocks();

  // Shared memory: rows of V, dO of this token and of the next, c, coefficients (Q, N), and each
  // warp's sums over D. A thread reads of V, dO and c only what it wrote: they need no barrier.
  Vector* const ring = dyn_shared<Vector>() + thread_index();
  Vector* const gradients = ring + slots * row_vectors;
  Vector* const folded = gradients + 2 * a.queries * row_vectors;
  auto* const coefficients = reinterpret_cast<Coefficients*>(
      folded - thread_index() +
      (kQueries == 1 ? 0 : a.queries * kVectors * (kSize / 4) * num_threads()));
  auto* const sums = reinterpret_cast<float*>(coefficients + a.queries * a.sources);
  const int padded_sources = (a.sources + kRows - 1) / kRows * kRows;
  const auto sums_of = [&](int warp, int n) {
    return sums + (warp * padded_sources + n) * (kDots + 1);
  };
  const auto row_at = [&](int slot, int i) {
    return ring + slot * row_vectors + i * num_threads();
  };
  const auto gradient_at = [&](int buffer, int q, int i) {
    return gradients + (buffer * a.queries + q) * row_vectors + i * num_threads();
  };

  Weights<T, kVectors, kQueries> weights = {folded};
  attnres_fwd::fold_weights(a, slice, 0, a.queries, weights, ring, row_vectors);

  int next_token = block_index(), next_row = 0, next_slot = 0;
  const auto fetch_row = [&] {
    if (next_token < tokens) {
      const T* row = a.v.as<T>() + a.row(next_row, next_token);
      ASSAY_UNROLL
      for (int i = 0; i < kVectors; ++i) slice.fetch(row_at(next_slot, i), row, i);
      if (++next_row == a.sources) {
        next_row = 0;
        next_token += token_step;
      }
    }
    next_slot = next_slot + 1 == slots ? 0 : next_slot + 1;
    commit_async();
  };
  const auto fetch_gradient = [&](int token, int buffer) {
    for (int q = 0; token < tokens && q < a.queries; ++q) {
      const T* row = a.d_o.as<T>() + a.query_row(q, token);
      ASSAY_UNROLL
      for (int i = 0; i < kVectors; ++i) slice.fetch(gradient_at(buffer, q, i), row, i);
    }
    commit_async();
  };
  fetch_gradient(block_index(), 0);
  ASSAY_NO_UNROLL
  for (int s = 0; s < slots; ++s) fetch_row();

  float x[kQueries][S::kElements] = {};  // X, of this thread's slice
  int first_slot = 0, buffer = 0;
  for (int t = block_index(); t < tokens; t += token_step, buffer ^= 1) {
    // Sums over D: this warp's part.
    int slot = first_slot;
    ASSAY_NO_UNROLL
    for (int first = 0; first < a.sources; first += kRows) {
      const int present = min(kRows, a.sources - first);
      // Behind the last of these rows are so many others; behind dO the N rows that were fetched
      // while the token before was worked on.
      const int behind = slots - first - present;
      wait_async_at_most(first == 0 ? min(behind, a.sources) : behind);
      float dots[S::kDotSums] = {}, squares[S::kSquareSums] = {};
      ASSAY_UNROLL
      for (int i = 0; i < kVectors; ++i) {
        ASSAY_UNROLL
        for (int p = 0; p < kSize / 4; ++p) {
          float v[kRows][4];
          ASSAY_UNROLL
          for (int r = 0; r < kRows; ++r) {
            if (r >= present) break;
            const int at = slot + r < slots ? slot + r : slot + r - slots;
            load_elements(reinterpret_cast<const T*>(row_at(at, i)) + 4 * p, v[r]);
            ASSAY_UNROLL
            for (int j = 0; j < 4; ++j) squares[r] += v[r][j] * v[r][j];
          }
          ASSAY_UNROLL
          for (int q = 0; q < kQueries; ++q) {
            if (q >= a.queries) break;
            float c[4], d_o[4];
            weights.get(q, i, p, c);
            load_elements(reinterpret_cast<const T*>(gradient_at(buffer, q, i)) + 4 * p, d_o);
            ASSAY_UNROLL
            for (int r = 0; r < kRows; ++r) {
              if (r >= present) break;
              ASSAY_UNROLL
              for (int j = 0; j < 4; ++j) {
                dots[r * kDots + 2 * q] += c[j] * v[r][j];
                dots[r * kDots + 2 * q + 1] += d_o[j] * v[r][j];
              }
            }
          }
        }
      }
      const float dot = warp_sum<S::kDotSums>(warp_sum_each(dots));
      const float square = warp_sum<S::kSquareSums>(warp_sum_each(squares));
      if (lane < kRows * kDots) sums_of(warp_index(), first + lane / kDots)[lane % kDots] = dot;
      if (lane < kRows) sums_of(warp_index(), first + lane)[kDots] = square;
      slot += present;
      if (slot >= slots) slot -= slots;
    }
    sync_threads();

    // Softmax over depth and its backward: a warp for each query.
    for (int q = warp_index(); q < a.queries; q += num_warps()) {
      const float d_lse = a.d_lse.present() ? a.d_lse.load(q * a.tokens + t) : 0;
      softmax_backward(
          a, d_lse,
          [&](int n) {
            const auto all = [&](int i) {
              return sum_over_warps<S::kMaxThreads / kWarpSize>(sums_of(0, n) + i,
                                                                padded_sources * (kDots + 1));
            };
            return Sums{.score = all(2 * q), .gain = all(2 * q + 1), .square = all(kDots)};
          },
          coefficients + q * a.sources);
    }
    sync_threads();

    // Gradients.
    fetch_gradient(t + token_step, buffer ^ 1);
    slot = first_slot;
    ASSAY_NO_UNROLL
    for (int first = 0; first < a.sources; first += kRows) {
      const int present = min(kRows, a.sources - first);
      float radial[kRows] = {};
      for (int q = 0; q < a.queries; ++q) {
        ASSAY_UNROLL
        for (int r = 0; r < kRows; ++r) {
          if (r < present) radial[r] += coefficients[q * a.sources + first + r].radial;
        }
      }
      ASSAY_UNROLL
      for (int i = 0; i < kVectors; ++i) {
        float out[kRows][kSize];
        ASSAY_UNROLL
        for (int p = 0; p < kSize / 4; ++p) {
          float v[kRows][4];
          ASSAY_UNROLL
          for (int r = 0; r < kRows; ++r) {
            if (r >= present) break;
            const int at = slot + r < slots ? slot + r : slot + r - slots;
            load_elements(reinterpret_cast<const T*>(row_at(at, i)) + 4 * p, v[r]);
            ASSAY_UNROLL
            for (int j = 0; j < 4; ++j) out[r][4 * p + j] = -radial[r] * v[r][j];
          }
          ASSAY_UNROLL
          for (int q = 0; q < kQueries; ++q) {
            if (q >= a.queries) break;
            float c[4], d_o[4];
            weights.get(q, i, p, c);
            load_elements(reinterpret_cast<const T*>(gradient_at(buffer, q, i)) + 4 * p, d_o);
            ASSAY_UNROLL
            for (int r = 0; r < kRows; ++r) {
              if (r >= present) break;
              const Coefficients of = coefficients[q * a.sources + first + r];
              ASSAY_UNROLL
              for (int j = 0; j < 4; ++j) {
                out[r][4 * p + j] += of.alpha * d_o[j] + of.key * c[j];
                x[q][i * kSize + 4 * p + j] += of.key * v[r][j];
              }
            }
          }
        }
        ASSAY_UNROLL
        for (int r = 0; r < kRows; ++r) {
          if (r >= present) break;
          const std::int64_t row = a.row(first + r, t);
          if (a.accumulate) slice.add(a.given(), row, i, out[r]);
          slice.store(a.d_v, row, i, out[r]);
        }
      }
      slot += present;
      if (slot >= slots) slot -= slots;
      for (int r = 0; r < present; ++r) fetch_row();
    }
    first_slot = slot;
  }

  // X.
  ASSAY_UNROLL
  for (int q = 0; q < kQueries; ++q) {
    if (q >= a.queries) break;
    const std::int64_t part = target.atomic ? 0 : block_index();
    const std::int64_t row = (part * a.queries + q) * a.dim;
    ASSAY_UNROLL
    for (int i = 0; i < kVectors; ++i) {
      float of[kSize];
      ASSAY_UNROLL
      for (int j = 0; j < kSize; ++j) of[j] = x[q][i * kSize + j];
      if (!target.atomic) {
        slice.store({target.x, DType::f32}, row, i, of);
        continue;
      }
      ASSAY_UNROLL
      for (int j = 0; j < kSize; ++j) {
        if (slice.first(i) + j < a.dim) atomic_add(target.x + row + slice.first(i) + j, of[j]);
      }
    }
  }
}

template <int kThreads>
ASSAY_KERNEL(kThreads)
void clear(float* x, std::int64_t count) {
  const std::int64_t i = static_cast<std::int64_t>(block_index()) * kThreads + thread_index();
  if (i < count) x[i] = 0;
}

namespace {

constexpr int kMostQueries = 8;
constexpr std::int64_t kMostBlocks = 3;    // of a multiprocessor
constexpr std::int64_t kWideBlocks = 264;  // two for each multiprocessor of an H100

// Calls f(Shape) with the instantiation of the config; the list is all there is.
template <class F>
auto with_shape(const Config& config, const F& f) {
  decltype(f(Shape<8, 1, 256, 2>{})) result = {};
  const auto offer = [&]<class S>(S shape) {
    if (S::kElements == config.elements && S::kQueries == config.queries &&
        S::kMaxThreads == config.max_threads) {
      result = f(shape);
    }
  };
  offer(Shape<8, 1, 256, 2>{});
  offer(Shape<16, 1, 512, 1>{});
  offer(Shape<8, 4, 512, 1>{});
  offer(Shape<8, 8, 320, 1>{});
  offer(Shape<8, 8, 512, 1>{});
  return result;
}

// Nothing: `wide`.
std::optional<Config> choose(const Problem& p) {
  const std::int64_t sources = p.dim("N"), queries = p.dim("Q"), dim = p.dim("D");
  const DType type = p.dtype_of("V");
  if (queries > kMostQueries || p.dtype_of("dO") != type || p.dtype_of("dV") != type) return {};
  const auto size = static_cast<std::int64_t>(size_of(type));
  const std::int64_t available = max_shared_bytes();
  const auto fits = [&](int elements, int at_once, int max_threads) -> std::optional<Config> {
    const std::int64_t threads = round_up(ceil_div(dim, elements), kWarpSize);
    if (threads > max_threads) return {};
    const std::int64_t row = threads * elements * size, rows_at_once = at_once == 1 ? 3 : 2;
    const std::int64_t besides =
        2 * queries * row + (at_once == 1 ? 0 : queries * threads * elements * 4) +
        queries * sources * static_cast<std::int64_t>(sizeof(Coefficients)) +
        threads / kWarpSize * round_up(sources, rows_at_once) * (2 * at_once + 1) * 4;
    const std::int64_t least = besides + sources * row;
    if (least > available) return {};
    // As many blocks a multiprocessor as hold at least the rows of a token, up to three; slots for
    // more rows, up to those of a second token, as far as that leaves room.
    const std::int64_t most = std::clamp<std::int64_t>(available / least, 1, kMostBlocks);
    const std::int64_t blocks = p.configuration["blocks"].value_or(most);
    if (blocks > most) return {};
    const std::int64_t room = available / blocks - (blocks > 1 ? 1 << 10 : 0);
    const std::int64_t slots = std::clamp((room - besides) / row, sources, 2 * sources);
    return Config{elements,
                  at_once,
                  max_threads,
                  static_cast<int>(threads),
                  static_cast<int>(slots),
                  besides + slots * row};
  };
  std::optional<Config> c;
  if (queries == 1) {
    const auto elements = p.configuration["elements"];
    if (elements.value_or(8) == 8 && (c = fits(8, 1, 256))) return c;
    return elements.value_or(16) == 16 ? fits(16, 1, 512) : c;
  }
  if (queries <= 4) return fits(8, 4, 512);
  if ((c = fits(8, 8, 320))) return c;
  return fits(8, 8, 512);
}

// What tuning tries for one query: hidden elements of a thread, blocks of a multiprocessor.
std::vector<Configuration> configurations(const Problem& p) {
  std::vector<Configuration> all;
  if (p.dim("Q") > 1) return all;
  Problem asked = p;
  for (const int elements : {8, 16}) {
    for (int blocks = 1; blocks <= kMostBlocks; ++blocks) {
      asked.configuration = {{"elements", elements}, {"blocks", blocks}};
      if (choose(asked)) all.push_back(asked.configuration);
    }
  }
  return all;
}

template <class T, class S>
constexpr auto kKernel = fused<T, S>;

// Blocks of the launch that sums up X.
std::int64_t blocks_of(const Problem& p) {
  const auto c = choose(p);
  if (!c) return std::min(p.dim("T"), kWideBlocks);
  return dispatch(p.dtype_of("V"), [&]<class T>(std::type_identity<T>) {
    return with_shape(*c, [&]<class S>(S) {
      allow_shared(kKernel<T, S>, c->shared);
      return std::min(p.dim("T"), resident_blocks(kKernel<T, S>, c->threads, c->shared));
    });
  });
}

Workspace workspace(const Problem& p, bool atomic) {
  const std::int64_t blocks = blocks_of(p), x = p.dim("Q") * p.dim("D") * 4;
  if (choose(p)) return {atomic ? x : blocks * x};
  return {blocks * (p.dim("Q") * p.dim("N") *
                        static_cast<std::int64_t>(sizeof(Coefficients) + sizeof(Sums)) +
                    x)};
}

template <class T, class S>
Launch prepare_fused(const Arguments& a, const Config& c, std::int64_t blocks, Target target) {
  allow_shared(kKernel<T, S>, c.shared);
  return [=](Stream stream) {
    const std::int64_t columns = static_cast<std::int64_t>(a.queries) * a.dim;
    if (target.atomic) {
      launch(clear<256>, {.blocks = ceil_div(columns, 256), .threads = 256, .stream = stream},
             target.x, columns);
    }
    launch(kKernel<T, S>,
           {.blocks = blocks, .threads = c.threads, .shared_bytes = c.shared, .stream = stream}, a,
           c.slots, target);
    launch_reduce(a, target.x, target.atomic ? 1 : blocks, stream);
  };
}

Launch prepare(const Problem& p, const Buffers& buffers, bool atomic) {
  const Arguments a = arguments(p, buffers);
  const std::int64_t blocks = blocks_of(p);
  if (const auto config = choose(p)) {
    const Target target = {static_cast<float*>(buffers.workspace), atomic};
    return dispatch(p.dtype_of("V"), [&]<class T>(std::type_identity<T>) {
      return with_shape(
          *config, [&]<class S>(S) { return prepare_fused<T, S>(a, *config, blocks, target); });
    });
  }
  const std::int64_t pairs = blocks * a.queries * a.sources;
  Scratch scratch = {};
  scratch.coefficients = static_cast<Coefficients*>(buffers.workspace);
  scratch.sums = reinterpret_cast<Sums*>(scratch.coefficients + pairs);
  scratch.x = reinterpret_cast<float*>(scratch.sums + pairs);
  return [=](Stream stream) {
    launch(wide<kWideThreads>, {.blocks = blocks, .threads = kWideThreads, .stream = stream}, a,
           scratch);
    launch_reduce(a, scratch.x, blocks, stream);
  };
}

Numerics numerics(const Problem& p, bool atomic) {
  const std::int64_t blocks = blocks_of(p);
  const std::int64_t own = ceil_div(p.dim("T"), blocks) * p.dim("N");
  const auto c = choose(p);
  // The running sum of a block, then those of the blocks, in any order where they are atomic.
  const std::int64_t others = c && atomic ? blocks + 4 : reduce_height(blocks);
  Numerics numerics;
  numerics.batch_height = height(own + others, 1);
  numerics.summation_height =
      c ? height(c->elements + 5 + c->threads / kWarpSize, 1)
        : height(ceil_div(p.dim("D"), std::int64_t{kWideThreads} * Arguments::kPart) *
                         Arguments::kPart +
                     10,
                 1);
  return numerics;
}

Variant variant(std::string name, std::string summary, bool atomic) {
  Variant v;
  v.op = "attnres_bwd";
  v.name = std::move(name);
  v.summary = std::move(summary);
  v.backend = kTwinBackend;
  v.arch = {.min = 80};
  v.repeatability = atomic ? Repeatability::order_dependent : Repeatability::bitwise;
  v.numerics = [=](const Problem& p) { return numerics(p, atomic); };
  v.configurations = configurations;
  v.unsupported = [=](const Problem& p) -> std::string {
    if (atomic && !choose(p)) return "sums in registers need N·D within shared memory and Q <= 8";
    return too_large(p);
  };
  v.workspace = [=](const Problem& p) { return workspace(p, atomic); };
  v.prepare = [=](const Problem& p, const Buffers& buffers) { return prepare(p, buffers, atomic); };
  return v;
}

}  // namespace

ASSAY_VARIANT(fused)
(variant("fused", "V and dO read once, V in shared memory; dw summed in a fixed order", false));

// What the fixed order costs: the same kernel with atomic additions at the end.
ASSAY_VARIANT(fused_atomic)
(variant("fused_atomic", "as fused, with atomic additions to dw", true));

}  // namespace assay::ASSAY_TWIN::attnres_bwd_fused
