// attnres_bwd/tensor_core: as fused, V and dO pass through shared memory once, but the sums over D,
// dV and X are matrix products through mma.sync. bf16 V and dO are exact operands, f16 ones are two
// bf16 terms; c, α and ds r, fp32 numbers, are three terms of 8 bits each, which leave 2^-27 of
// them; c is one term where it is w in bf16. Of the nine products of terms of ds r and c, those of
// the third with the second or third are left out: with what the terms leave 3·2^-27 of |ds r c|,
// less than half of u, where a product that is rounded loses u. Sums of 16 products are cut off,
// which `numerics` says how to declare; all others are rounded.
// Each warp owns a slice of D: it copies it, reads it, writes its dV over V and stores that, and
// keeps its X in registers over all of the block's tokens; warps meet twice a token, around the
// softmax. With room for two and a half tokens gradients lag one behind, and warps meet once.
// Reads of shared memory are most of the time: one term of c in place of three, and no part of V
// loaded twice for one product, brought 16 % at N = 4, Q = 8, D = 2048; there two blocks a
// multiprocessor, each of which works while the other waits, are 3 % faster than the lag, which at
// N = 10, Q = 6, D = 2304 brings 2 %. Versus fused: the work of several queries leaves the CUDA
// cores; on an H100 with bf16 and T = 16384 884 µs for 2430 at N = 10, Q = 6, D = 2304 (2.22 TB/s
// of the least bytes), 475 for 1180 at N = 4, Q = 8, D = 2048 (2.26). Of little use for one query,
// which fills an eighth of its tiles; refuses what shared memory cannot hold. Registers must
// suffice: what is spilled comes back through the queue in which the copies of the next token
// stand. Of one word a token at D = 2048 it was up to a seventh of the time.
#include <cmath>

#include "kernels/attnres_bwd/arguments.h"
#include "kernels/attnres_bwd/tiles.h"
#include "kernels/attnres_bwd/warp_slice.h"
#include "kernels/device/block.h"
#include "kernels/device/math.h"
#include "kernels/device/weight_gradient.h"

namespace assay::ASSAY_TWIN::attnres_bwd_tensor_core {

using namespace attnres_bwd;

// What determines registers: the hidden elements of a warp, the tiles of sources, how many warps
// there may be, whether the dV that is added to is fetched ahead, and the terms of c.
template <int kBlocks_, int kTiles_, int kMaxWarps_, bool kFetchesGiven_, int kWeightTerms_>
struct Shape {
  static constexpr int kBlocks = kBlocks_, kTiles = kTiles_, kMaxWarps = kMaxWarps_;
  static constexpr int kWeightTerms = kWeightTerms_;
  static constexpr bool kFetchesGiven = kFetchesGiven_;
  static constexpr int kSlice = kBlocks * kTileDim;
  static constexpr int kResident = 16 / kMaxWarps;  // blocks of a multiprocessor
};

// Softmax over depth and its backward for query q, by a warp: lanes are sources, each half of the
// warp adds up half of the warps' sums. What the gradients need goes to where they load it.
template <class S>
ASSAY_DEVICE void softmax(const Arguments& a, int q, int token, const float* partials,
                          float* radials, bf16* matrices) {
  const float d_lse = a.d_lse.present() ? a.d_lse.load(q * a.tokens + token) : 0;
  const Partial partial(a.sources);
  const int lane = lane_index(), stride = partial.stride(a.queries);
  const bool there = lane % 16 < a.sources;
  const int n = min(lane % 16, a.sources - 1);
  float score = 0, gain = 0, square = 0;
  ASSAY_UNROLL
  for (int i = 0; i < S::kMaxWarps / 2; ++i) {
    const int w = 2 * i + lane / 16;
    if (w >= num_warps()) break;
    const float* const of = partials + w * stride;
    float pair[2];
    load_elements(of + partial.pair(q, n), pair);
    score += pair[0];
    gain += pair[1];
    square += of[partial.square(a.queries, n)];
  }
  score += shuffle_xor(score, 16);
  gain += shuffle_xor(gain, 16);
  square += shuffle_xor(square, 16);

  const float dim = static_cast<float>(a.dim);
  const float r = reciprocal_sqrt(square / dim + a.eps), l = score * r;
  const float max = warp_max<1, 16>(l);  // those that are not there repeat the last
  const float p = there ? exp2_approx((l - max) * kLog2E) : 0.0f;
  const float inverse = 1.0f / warp_sum<1, 16>(p);
  const float delta = warp_sum<1, 16>(there ? p * gain : 0.0f) * inverse;  // Σ α a = ⟨dO, O⟩
  const float weight = p * inverse;
  const float own_key = weight * (gain - delta + d_lse) * r;  // ds r
  if (lane >= a.sources) return;
  radials[lane * kTileQueries + q] = own_key * l * r / dim;
  bf16 alpha[kTerms], key[kTerms];
  split(weight, alpha);
  split(own_key, key);
  bf16* const row = matrices + lane * kMatrixPitch + q;
  ASSAY_UNROLL
  for (int term = 0; term < kTerms; ++term) {
    row[term * kMatrixSize] = alpha[term];
    row[term * kMatrixSize + kTileQueries] = key[term];
  }
}

// Blocks take tokens in turn. x_parts: (blocks, Q, D).
template <class T, class S>
ASSAY_KERNEL(S::kMaxWarps* kWarpSize, S::kResident)
void gradients(Arguments a, int slots, int lag, float* x_parts) {
  constexpr int kTiles = S::kTiles;
  const int lane = lane_index(), warp = warp_index(), g = lane / 4, t = lane % 4;
  const int queries = a.queries, sources = a.sources, tokens = static_cast<int>(a.tokens);
  const int pitch = num_warps() * S::kSlice + kPad, begin = warp * S::kSlice;
  // Of a token: dO, V and, if that is fetched ahead, the dV that is added to.
  const int rows = queries + (S::kFetchesGiven ? 2 : 1) * sources;

  // Shared memory: c in terms, a ring of rows, the warps' sums over D, coefficients, and the same
  // as operands; the last three twice if gradients lag (`lag` is 0 or 1).
  bf16* const folded = dyn_shared<bf16>();
  T* const ring = reinterpret_cast<T*>(folded + S::kWeightTerms * queries * pitch);
  float* const all_partials = reinterpret_cast<float*>(ring + slots * pitch);
  const Partial partial(sources);
  const int stride = partial.stride(queries);
  const int radials_size = sources * kTileQueries;
  float* const all_radials = all_partials + (1 + lag) * num_warps() * stride;  // (N, 8)
  bf16* const all_matrices = reinterpret_cast<bf16*>(all_radials + (1 + lag) * radials_size);

  // The ring holds the latest token and, if gradients lag, the one before it. While they are worked
  // on, the first rows of the next have been copied, as many as there are slots for, and those of
  // the one after follow as rows become free.
  const WarpSlice<T, S::kSlice, S::kFetchesGiven> slice = {ring, slots, pitch, begin};
  const int held = (1 + lag) * rows, ahead = slots - held;
  slice.fetch(a, block_index(), 0, 0, rows);
  if (lag) slice.fetch(a, block_index() + num_blocks(), rows, 0, rows);
  slice.fetch(a, block_index() + (1 + lag) * num_blocks(), held, 0, ahead);
  fold_weights<S::kSlice, S::kWeightTerms>(a, folded, pitch, begin);
  for (int i = thread_index(); i < (1 + lag) * kTerms * kMatrixSize; i += num_threads()) {
    all_matrices[i] = bf16{0};
  }
  for (int i = thread_index(); i < (1 + lag) * radials_size; i += num_threads()) {
    all_radials[i] = 0;
  }

  // The rows whose addresses this lane gives to ldmatrix.
  const int query = lane % 8 < queries ? lane % 8 : 0;
  const bool upper = lane % 16 >= 8;  // of 16 rows
  const int source = queries + min(lane_source<kTiles>(), sources - 1);
  const bf16* const folded_row = folded + query * pitch + begin + lane / 16 * 8;
  const bf16* const low_row = folded_row + (upper ? 2 : 1) * queries * pitch;

  float x[2 * S::kBlocks][4] = {};
  int last = 0;    // slot of the first row of the latest token
  int parity = 0;  // of its sums and coefficients
  for (int next = block_index(); next < tokens + lag * num_blocks(); next += num_blocks()) {
    // Sums over D: this warp's part. What was copied last is for the token after.
    if (next < tokens) {
      const auto row_of = [&](int i) {
        return reinterpret_cast<const bf16*>(slice.row(last + i)) + begin;
      };
      const bf16* const top_row = upper ? folded_row : row_of(query) + lane / 16 * 8;
      const bf16* const v_row = row_of(source) + lane_column<kTiles>();
      wait_async<1>();
      sync_warp();
      Dots<T, kTiles, S::kWeightTerms> dots;
      const auto multiply = [&](int b) {
        const int d = b * kTileDim;
        dots.multiply(QueryRows{top_row + d, low_row + d}, v_row + d);
      };
      if constexpr (S::kMaxWarps == 12 && S::kWeightTerms == 1) {
        ASSAY_UNROLL
        for (int b = 0; b < S::kBlocks; ++b) multiply(b);
      } else {
        ASSAY_NO_UNROLL  // all at once take more registers than 16 warps have
            for (int b = 0; b < S::kBlocks; ++b) multiply(b);
      }
      dots.finish();
      float* const own = all_partials + (parity * num_warps() + warp) * stride;
      ASSAY_UNROLL
      for (int j = 0; j < kTiles; ++j) {
        const int n = 8 * j + 2 * t;
        if (g < queries && n < sources) {
          const float pairs[4] = {dots.score(j, 0), dots.gain(j, 0), dots.score(j, 1),
                                  dots.gain(j, 1)};
          store_elements(own + partial.pair(g, n), pairs);
        }
        const float square = dots.square(j);
        if (t == 0 && 8 * j + g < sources) own[partial.square(queries, 8 * j + g)] = square;
      }
    }
    sync_threads();  // also for coefficients of the token before
    if (next < tokens) {
      for (int q = warp; q < queries; q += num_warps()) {
        softmax<S>(a, q, next, all_partials + parity * num_warps() * stride,
                   all_radials + parity * radials_size,
                   all_matrices + parity * kTerms * kMatrixSize);
      }
    }
    const int first = last - lag * rows + (last < lag * rows ? slots : 0);
    last = wrap(last + rows, slots);
    parity ^= lag;
    const int token = next - lag * num_blocks();
    if (token < 0) continue;
    if (!lag) sync_threads();

    // Gradients; dV takes the place of V.
    const auto row_of = [&](int i) {
      return reinterpret_cast<const bf16*>(slice.row(first + i)) + begin;
    };
    const bf16* const top_row = upper ? folded_row : row_of(query) + lane / 16 * 8;
    const auto query_rows = [&](int d) { return QueryRows{top_row + d, low_row + d}; };
    const bf16* const v_row = row_of(source) + lane_column<kTiles>();
    const bf16* const turned_row = row_of(source) + lane_turned_column<kTiles>();
    const float* const radials = all_radials + parity * radials_size;
    Operands<kTiles, S::kWeightTerms> operands;
    operands.load(all_matrices + parity * kTerms * kMatrixSize);
    float radial[kTiles] = {};
    T* own_row[kTiles];
    ASSAY_UNROLL
    for (int j = 0; j < kTiles; ++j) {
      const int n = min(8 * j + g, sources - 1);
      float terms[kTileQueries];
      load_elements(radials + n * kTileQueries, terms);
      ASSAY_UNROLL
      for (int q = 0; q < kTileQueries; ++q) radial[j] += terms[q];
      own_row[j] = slice.row(first + queries + n) + begin + 2 * t;
    }
    ASSAY_UNROLL
    for (int b = 0; b < S::kBlocks; ++b) {
      Sources<kTiles> v;
      v.load(v_row + b * kTileDim);
      Strip out[kTiles];
      ASSAY_UNROLL
      for (int h = 0; h < 2; ++h) {
        operands.template mix<T>(query_rows(b * kTileDim + h * kStep), h, out);
      }
      operands.template add_x<T>(turned_row + b * kTileDim, x + 2 * b);
      sync_warp();  // all have read what is now overwritten
      ASSAY_UNROLL
      for (int j = 0; j < kTiles; ++j) {
        ASSAY_UNROLL
        for (int i = 0; i < 8; ++i) {
          const float own = element<T>(&v.words[i / 4][j][i / 2 % 2], i % 2);
          out[j][i / 4][i / 2 % 2][i % 2] -= radial[j] * own;
        }
        if constexpr (S::kFetchesGiven) {
          const int n = min(8 * j + g, sources - 1);
          const T* given = slice.row(first + queries + sources + n) + begin + 2 * t + b * kTileDim;
          ASSAY_UNROLL
          for (int i = 0; i < 4; ++i) {
            float own[2];
            load_elements(given + i * 8, own);
            out[j][i / 2][i % 2][0] += own[0];
            out[j][i / 2][i % 2][1] += own[1];
          }
        } else if (a.accumulate) {
          const int d = begin + b * kTileDim, n = min(8 * j + g, sources - 1);
          add_given(a.d_v.as<T>() + a.row(n, token) + d, a.dim - d, a.aligned, out[j]);
        }
        if (8 * j + g < sources) {
          ASSAY_UNROLL
          for (int i = 0; i < 4; ++i) {
            store_elements(own_row[j] + b * kTileDim + i * 8, out[j][i / 2][i % 2]);
          }
        }
      }
    }
    sync_warp();
    slice.store(a, token, first);
    sync_warp();
    const std::int64_t after = std::int64_t{next} + num_blocks();
    slice.fetch(a, after, last, ahead, rows);
    slice.fetch(a, after + num_blocks(), wrap(last + rows, slots), 0, ahead);
  }

  // X.
  ASSAY_UNROLL
  for (int s = 0; s < 2 * S::kBlocks; ++s) {
    ASSAY_UNROLL
    for (int i = 0; i < 4; ++i) {
      const int q = 2 * t + i % 2, d = begin + s * kStep + i / 2 * 8 + g;
      if (q >= queries || d >= a.dim) continue;
      x_parts[(static_cast<std::int64_t>(block_index()) * queries + q) * a.dim + d] = x[s][i];
    }
  }
}

namespace {

// How a problem is cut.
struct Config {
  int resident;              // blocks of a multiprocessor that its memory is for
  int blocks, warps, slots;  // warps = 0: too many hidden elements
  int weight_terms;          // of c
  int lag;                   // of gradients behind sums, in tokens
  bool fetches_given;
  std::int64_t shared;
};

// Calls f(Shape) with the instantiation of the problem; the list is all there is.
template <class T, class F>
auto with_shape(const Problem& p, const Config& c, const F& f) {
  const auto with =
      [&]<int kTiles, bool kGiven, int kWeights>(Shape<1, kTiles, 1, kGiven, kWeights>) {
        // 16 warps leave 128 registers a thread, 12 leave 168; 18 would leave 96.
        if constexpr (kTiles == 1 && kWeights == 1) {
          if (c.resident == 2) return f(Shape<8, kTiles, 8, kGiven, kWeights>{});
        }
        if (c.blocks <= 4) return f(Shape<4, kTiles, 16, kGiven, kWeights>{});
        if (c.blocks <= 6) return f(Shape<6, kTiles, 12, kGiven, kWeights>{});
        return f(Shape<8, kTiles, 16, kGiven, kWeights>{});
      };
  const auto with_tiles = [&]<bool kGiven, int kWeights>(Shape<1, 1, 1, kGiven, kWeights>) {
    return p.dim("N") <= kTileQueries ? with(Shape<1, 1, 1, kGiven, kWeights>{})
                                      : with(Shape<1, 2, 1, kGiven, kWeights>{});
  };
  if constexpr (std::is_same_v<T, bf16>) {
    if (c.weight_terms == 1) {
      return c.fetches_given ? with_tiles(Shape<1, 1, 1, true, 1>{})
                             : with_tiles(Shape<1, 1, 1, false, 1>{});
    }
    if (c.fetches_given) return with_tiles(Shape<1, 1, 1, true, kTerms>{});
  }
  return with_tiles(Shape<1, 1, 1, false, kTerms>{});
}

// What each of so many blocks of a multiprocessor may have: 1 KB besides is the system's.
std::int64_t shared_of(int resident) {
  constexpr std::int64_t kKept = 1024;
  return (max_shared_bytes() + kKept) / resident - kKept;
}

// For so many blocks of a multiprocessor. shared: what it would take, at least.
Config cut(const Problem& p, int resident) {
  const std::int64_t sources = p.dim("N"), queries = p.dim("Q"), dim = p.dim("D");
  Config c = {};
  c.resident = resident;
  c.blocks = resident == 2 ? 8 : dim <= 2048 ? 4 : dim <= 2304 ? 6 : 8;
  const std::int64_t slice = c.blocks * kTileDim, warps = ceil_div(dim, slice);
  if (warps > 16) return c;
  c.warps = static_cast<int>(warps);
  const bool exact = p.dtype_of("V") == DType::bf16 && p.dtype_of("w") == DType::bf16;
  c.weight_terms = exact && !p.has("g") ? 1 : kTerms;
  const std::int64_t row = (warps * slice + kPad) * 2;
  // Lagging, sums and coefficients of two tokens.
  const std::int64_t sums = warps * round_up((2 * queries + 1) * round_up(sources, 2), 4) * 4 +
                            sources * kTileQueries * 4 + kTerms * kMatrixSize * 2;
  const std::int64_t besides = c.weight_terms * queries * row + sums;
  // All of a token, and as much of the next as there is room for. The dV that is added to waits in
  // memory where it would not leave room for half of the next, or where another block would not
  // work meanwhile.
  const std::int64_t all = shared_of(resident) - besides, room = all / row;
  std::int64_t rows = queries + 2 * sources;
  c.fetches_given = p.flag("accumulate") && p.dtype_of("V") == DType::bf16 &&
                    2 * room >= (resident == 2 ? 2 : 3) * rows;
  if (!c.fetches_given) rows = queries + sources;
  const std::int64_t room_lagging = (all - sums) / row;
  // Of small rows there is room for several blocks.
  c.lag = resident == 1 && dim > 1024 && 2 * room_lagging >= 5 * rows ? 1 : 0;
  const std::int64_t held = (1 + c.lag) * rows;
  const std::int64_t slots = std::clamp(c.lag ? room_lagging : room, held, held + rows);
  c.slots = static_cast<int>(slots);
  c.shared = besides + c.lag * sums + slots * row;
  return c;
}

// Two blocks take c twice, for which there is room if it is one term, and need some of the next
// token on its way.
Config choose(const Problem& p) {
  const std::int64_t dim = p.dim("D");
  if (dim > 1024 && dim <= 2048 && p.dim("N") <= kTileQueries) {
    const Config c = cut(p, 2);
    const std::int64_t rows = p.dim("Q") + p.dim("N") * (c.fetches_given ? 2 : 1);
    if (c.weight_terms == 1 && c.shared <= shared_of(2) && 8 * c.slots >= 9 * rows) return c;
  }
  return cut(p, 1);
}

std::string unsupported(const Problem& p) {
  const DType type = p.dtype_of("V");
  if (type == DType::f32) return "tensor cores take no f32 without more terms";
  if (p.dtype_of("dO") != type || p.dtype_of("dV") != type) return "V, dO and dV differ in dtype";
  if (p.dim("Q") > kTileQueries) return "more than 8 queries";
  if (p.dim("N") > kMatrixRows) return "more than 16 sources";
  const Config c = choose(p);
  if (c.warps == 0) return "more than 4096 hidden elements";
  if (c.shared > max_shared_bytes()) {
    return "needs " + std::to_string(c.shared) + " bytes of shared memory a block";
  }
  return too_large(p);
}

template <class T, class S>
constexpr auto kKernel = gradients<T, S>;

// Calls f(kernel); V is 16 bits wide.
template <class F>
auto with_kernel(const Problem& p, const Config& c, const F& f) {
  const auto of = [&]<class T>(std::type_identity<T>) {
    return with_shape<T>(p, c, [&]<class S>(S) { return f(kKernel<T, S>); });
  };
  return p.dtype_of("V") == DType::bf16 ? of(std::type_identity<bf16>{})
                                        : of(std::type_identity<f16>{});
}

// Of the launch; each writes its part of X.
std::int64_t blocks_of(const Problem& p) {
  const Config c = choose(p);
  return with_kernel(p, c, [&](auto kernel) {
    allow_shared(kernel, c.shared);
    return std::min(p.dim("T"), resident_blocks(kernel, c.warps * kWarpSize, c.shared));
  });
}

Launch prepare(const Problem& p, const Buffers& buffers) {
  const Arguments a = arguments(p, buffers);
  const Config c = choose(p);
  const std::int64_t blocks = blocks_of(p);
  auto* const x_parts = static_cast<float*>(buffers.workspace);
  return with_kernel(p, c, [&](auto kernel) -> Launch {
    return [=](Stream stream) {
      launch(kernel,
             {.blocks = blocks,
              .threads = c.warps * kWarpSize,
              .shared_bytes = c.shared,
              .stream = stream},
             a, c.slots, c.lag, x_parts);
      launch_reduce(a, x_parts, blocks, stream);
    };
  });
}

Numerics numerics(const Problem& p) {
  const Config c = choose(p);
  // An mma of 16 terms is two sums of eight products and the accumulator, counted as 4 roundings
  // each as in attnres_fwd/tensor_core. All mma of leading terms begin with 0; sums of second terms
  // may be 2^8 times as wrong.
  const double cut = 8;
  // Over D: then a warp's steps, the terms, half of the warps, the halves. Squares, by fma, take
  // two more but are not cut off. Products of a token's coefficients and V: then the tokens of a
  // block, and the blocks.
  const std::int64_t steps = c.blocks * kTileDim / kStep, warps = c.warps;
  const auto dots = static_cast<double>(steps - 1 + 2 + ceil_div(warps, 2));
  const std::int64_t blocks = blocks_of(p);
  const auto tokens = static_cast<double>(ceil_div(p.dim("T"), blocks) + reduce_height(blocks));
  // Heights that cover what is cut off, as reference/attnres_bwd.h asks for. dV needs none: 8, v,
  // the second terms and the given dV make 11, no more than the 3 Q + 8 of a loop over queries.
  const double typical = std::sqrt(0.75 * cut * cut + dots + cut) - 4;
  const double typical_x = std::sqrt(tokens) + cut / 3;
  const auto covering = [&](double n, double root) {
    return height(static_cast<std::int64_t>(std::ceil(std::max(n + cut, root * root))), 1);
  };
  Numerics numerics;
  numerics.summation_height = covering(dots, typical);
  numerics.batch_height = covering(tokens, typical_x);
  return numerics;
}

Variant variant() {
  Variant v;
  v.op = "attnres_bwd";
  v.name = "tensor_core";
  v.summary = "as fused, with products through mma.sync, exact sums of bf16 terms in place of fp32";
  v.backend = kTwinBackend;
  v.arch = {.min = 80};
  v.numerics = numerics;
  v.unsupported = unsupported;
  v.workspace = [](const Problem& p) {
    return Workspace{blocks_of(p) * p.dim("Q") * p.dim("D") * 4};
  };
  v.prepare = prepare;
  return v;
}

}  // namespace

ASSAY_VARIANT(tensor_core)(variant());

}  // namespace assay::ASSAY_TWIN::attnres_bwd_tensor_core
