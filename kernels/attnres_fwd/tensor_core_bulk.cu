// attnres_fwd/tensor_core_bulk: as tensor_core, scores and mix are products through mma.sync, exact
// sums of three bf16 terms in place of fp32 c and α, but blocks stay: one on each multiprocessor
// works on token after token, while bulk copies of the next ones run ahead into shared memory. Each
// of its 16 warps owns a slice of D, whose fragments of c stay in registers over all tokens, and
// meets the others twice a token, around the softmax. The mix is done transposed, d by queries:
// with queries as rows, up to 8 of them would leave half of each tile empty. Versus tensor_core: V
// is not waited for, and c is not loaded again; on an H100 with bf16 and T = 16384 426 µs for 889
// at N = 10, Q = 6, D = 2304 (2.84 TB/s of the least bytes; fused: 801 µs), 384 µs at N = 8, Q = 8,
// D = 2048 (2.80). Loses to fused for up to three queries (N = 9, T = 8192, D = 2048: 157 for 127
// µs with one, 160 for 135 with two, 163 for 156 with three). More than 8 queries take V again from
// L2, once for each 8 (N = 8, Q = 16, T = 8192, D = 2048: 2.38 TB/s).
#include <algorithm>

#include "kernels/attnres_fwd/warp_slice.h"
#include "kernels/device/atomic.h"
#include "kernels/device/launch.h"
#include "kernels/device/math.h"
#include "kernels/device/mbarrier.h"
#include "kernels/device/sm90.h"

namespace assay::ASSAY_TWIN::attnres_fwd_tensor_core_bulk {

using namespace attnres_fwd;

// Tokens in shared memory: three, or as many as it takes to have 64 KB under way. A block that has
// taken more is late when there are no more: four cost 1 %, five 2 % at the sizes above.
constexpr int kLeastStages = 3, kMaxStages = 8;
constexpr std::int64_t kUnderWay = 64 << 10;

// Softmax over depth of query `q` of the block, by a warp: lanes are sources, each half of the
// warp adds up half of the warps' sums. α goes to where the mix will load it, zero for sources that
// are not there.
struct Normalizer {
  float max, total;  // base 2
};
template <class S>
ASSAY_DEVICE Normalizer softmax(const Arguments<bf16>& a, int q, const unsigned char* scratch,
                                bf16* alpha) {
  const int row = lane_index() % kTileRows, half = lane_index() / kTileRows;
  float score[S::kTiles], max = minus_infinity(), total = 0;
  ASSAY_UNROLL
  for (int tile = 0; tile < S::kTiles; ++tile) {
    float dot = 0, square = 0;
    ASSAY_UNROLL
    for (int w = 0; w < kWarps / 2; ++w) {
      const auto* sums =
          reinterpret_cast<const float*>(scratch + (half * (kWarps / 2) + w) * S::kOwnBytes);
      dot += sums[(tile * kTileQueries + q) * S::kScoreRow + row];
      square += sums[S::kScores + tile * kTileRows + row];
    }
    dot += shuffle_xor(dot, kTileRows);
    square += shuffle_xor(square, kTileRows);
    const float r = reciprocal_sqrt(square / static_cast<float>(a.dim) + a.eps);
    score[tile] = tile * kTileRows + row < a.sources ? dot * (r * kLog2E) : minus_infinity();
    max = maximum(max, score[tile]);
  }
  max = warp_max<1, kTileRows>(max);
  ASSAY_UNROLL
  for (int tile = 0; tile < S::kTiles; ++tile) {
    score[tile] = exp2_approx(score[tile] - max);
    total += score[tile];
  }
  total = warp_sum<1, kTileRows>(total);
  if (half == 0) {
    const float scale = 1.0f / total;
    ASSAY_UNROLL
    for (int tile = 0; tile < S::kTiles; ++tile) {
      bf16 terms[kTerms];
      split(score[tile] * scale, terms);
      ASSAY_UNROLL
      for (int term = 0; term < kTerms; ++term) {
        alpha[(term * kTileQueries + q) * S::kAlphaPitch + tile * kTileRows + row] = terms[term];
      }
    }
  }
  return {max, total};
}

ASSAY_KERNEL(kWarpSize) void reset(int* taken, int groups) {
  for (int i = thread_index(); i < groups; i += kWarpSize) taken[i] = 0;
}

// Block b answers the queries of group b % groups, so that the groups of a token run side by side
// and V comes from L2 for all but one. The blocks of a group take the next token when they have
// room for it: multiprocessors differ in what they get of the memory's bandwidth, and with equal
// shares the last were at work when the average one had been idle for 8 % of the time.
template <class S>
ASSAY_KERNEL(kThreads, 1)
void attend(Arguments<bf16> a, int stages, int groups, int* taken) {
#if ASSAY_HAS_SM90
  const int lane = lane_index(), warp = warp_index();
  const int group = block_index() % groups, first_query = group * kTileQueries;
  const int streams = num_blocks() / groups;      // of tokens
  const int tokens = static_cast<int>(a.tokens);  // at most 2^30, see too_large

  // Shared memory: tokens of V (stage, source, kPitch), each warp's own, α.
  ASSAY_SHARED(full, [kMaxStages], std::uint64_t);
  ASSAY_SHARED(token_of, [kMaxStages], int);  // at least `tokens`: there are no more
  bf16* const ring = dyn_shared<bf16>();
  const int stage_size = a.sources * S::kPitch;
  auto* const scratch = reinterpret_cast<unsigned char*>(ring + stages * stage_size);
  auto* const alpha = reinterpret_cast<bf16*>(scratch + kWarps * S::kOwnBytes);

  if (thread_index() == 0) {
    for (int i = 0; i < stages; ++i) mbarrier_init(&full[i], 1);
    mbarrier_fence();
  }
  // Slices end beyond D: no copy ever writes there, and zeros change no sum.
  for (int row = warp; row < stages * a.sources; row += kWarps) {
    for (int d = a.dim + lane; d < S::kPitch; d += kWarpSize) ring[row * S::kPitch + d] = bf16{0};
  }
  sync_threads();

  const auto fetch = [&](int token, int stage) {  // by a warp
    if (lane == 0) token_of[stage] = token;
    if (token >= tokens) {
      if (lane == 0) mbarrier_arrive(&full[stage]);
      return;
    }
    const int row_bytes = a.dim * static_cast<int>(sizeof(bf16));
    if (!a.aligned) {
      for (int n = 0; n < a.sources; ++n) {
        bf16* const to = ring + stage * stage_size + n * S::kPitch;
        ASSAY_NO_UNROLL
        for (int d = lane; d < a.dim; d += kWarpSize) to[d] = a.row(n, token)[d];
      }
      sync_warp();
      if (lane == 0) mbarrier_arrive(&full[stage]);
      return;
    }
    if (lane == 0) mbarrier_arrive_expect(&full[stage], a.sources * row_bytes);
    sync_warp();
    if (lane < a.sources) {
      copy_bulk(ring + stage * stage_size + lane * S::kPitch, a.row(lane, token), row_bytes,
                &full[stage]);
    }
  };
  constexpr int kFetcher = kTileQueries;  // a warp that has no query
  const int ahead = stages - 1;
  int next = 0;  // of the fetcher's first lane: the token that it has taken
  const auto take = [&] {
    if (lane == 0) next = ahead * streams + atomic_add(taken + group, 1);
  };
  if (warp == kFetcher) {
    for (int i = 0; i < ahead; ++i) fetch(block_index() / groups + i * streams, i);
    take();
  }

  auto* const own = reinterpret_cast<bf16*>(scratch + warp * S::kOwnBytes);
  std::uint32_t c[kTerms][S::kSteps][2];
  fold<S>(a, first_query, own, c);

  // What this lane gives to ldmatrix for a tile of V: in score rows lane % 16, the left or right
  // half; in mix, transposed, the quarters in the order in which A's are when d are its rows. Rows
  // that are not there repeat the last one: their scores are not used, and their α is zero.
  const bf16 *in_score[S::kTiles], *in_mix[S::kTiles];
  ASSAY_UNROLL
  for (int tile = 0; tile < S::kTiles; ++tile) {
    const auto at = [&](int row, int half) {
      return ring + min(tile * kTileRows + row, a.sources - 1) * S::kPitch + warp * S::kSlice +
             half * 8;
    };
    in_score[tile] = at(lane % 16, lane / 16);
    in_mix[tile] = at(lane / 16 * 8 + lane % 8, lane / 8 % 2);
  }

  int stage = 0, parity = 0;
  const int queries = min(kTileQueries, a.queries - first_query);
  const std::int64_t query_stride = a.tokens * a.o_pitch;
  for (;;) {
    mbarrier_wait(&full[stage], parity);
    const int token = token_of[stage];
    if (token >= tokens) break;

    const bf16* v[S::kTiles];
    const auto select = [&](const bf16* const(&first)[S::kTiles]) {
      ASSAY_UNROLL
      for (int tile = 0; tile < S::kTiles; ++tile) v[tile] = first[tile] + stage * stage_size;
    };
    select(in_score);
    score<S>(v, c, reinterpret_cast<float*>(own));
    sync_threads();

    // All have mixed the token before: its stage is free.
    if (warp == kFetcher) {
      fetch(shuffle(next, 0), stage == 0 ? ahead : stage - 1);
      take();
    }
    Normalizer normalizer;
    if (warp < kTileQueries) normalizer = softmax<S>(a, warp, scratch, alpha);
    sync_threads();

    select(in_mix);
    mix<S>(v, alpha, own);
    sync_warp();

    // O, this warp's slice, and LSE.
    bf16* const out = a.o.as<bf16>() + a.o_row(first_query, token) + warp * S::kSlice;
    const int width = min(S::kSlice, a.dim - warp * S::kSlice);
    if (a.aligned) {
      store_slice<S>(own, out, query_stride, queries, width);
    } else {
      ASSAY_NO_UNROLL
      for (int i = lane; i < queries * S::kSlice; i += kWarpSize) {
        const int q = i / S::kSlice, d = i % S::kSlice;
        if (d < width) out[q * query_stride + d] = own[q * S::kOwnPitch + d];
      }
    }
    if (warp < queries && lane == 0) {
      a.lse.store(a.lse_at(first_query + warp, token),
                  normalizer.max * kLn2 + log_accurate(normalizer.total));
    }
    sync_warp();
    if (++stage == stages) stage = 0, parity ^= 1;
  }
#endif
}

namespace {

// How a problem is cut.
struct Config {
  int steps, tiles;  // select the Shape; steps = 0: too many hidden elements
  int stages;        // at least 2 where it fits
  std::int64_t shared;
};

// Calls f(Shape) with the instantiation for at least so many steps of a warp; the list is all there
// is.
template <class F>
auto with_shape(int steps, int tiles, const F& f) {
  const auto with_steps = [&]<int kTiles>(Count<kTiles>) {
    if (steps <= 4) return f(Shape<4, kTiles>{});
    if (steps <= 8) return f(Shape<8, kTiles>{});
    if (steps <= 9) return f(Shape<9, kTiles>{});
    return f(Shape<12, kTiles>{});
  };
  return tiles == 1 ? with_steps(Count<1>{}) : with_steps(Count<2>{});
}

constexpr int kMaxSteps = 12, kMaxTiles = 2;

Config choose(const Problem& p) {
  Config c = {};
  c.steps = static_cast<int>(ceil_div(p.dim("D"), kWarps * kStep));
  c.tiles = static_cast<int>(ceil_div(p.dim("N"), kTileRows));
  if (c.steps > kMaxSteps || c.tiles > kMaxTiles) return c;
  with_shape(c.steps, c.tiles, [&]<class S>(S) {
    constexpr std::int64_t kBesides =
        kWarps * S::kOwnBytes + S::kAlphaBytes + kMaxStages * (sizeof(std::uint64_t) + sizeof(int));
    const std::int64_t stage = p.dim("N") * S::kPitch * 2;
    const std::int64_t wanted =
        std::clamp<std::int64_t>(1 + ceil_div(kUnderWay, stage), kLeastStages, kMaxStages);
    c.stages = static_cast<int>(
        std::clamp<std::int64_t>((max_shared_bytes() - kBesides) / stage, 2, wanted));
    c.shared = c.stages * stage + kWarps * S::kOwnBytes + S::kAlphaBytes;
    return 0;
  });
  return c;
}

std::int64_t groups_of(const Problem& p) { return ceil_div(p.dim("Q"), kTileQueries); }

template <class S>
constexpr auto kKernel = attend<S>;

Launch prepare(const Problem& p, const Buffers& buffers) {
  const Arguments<bf16> a = arguments<bf16>(p, buffers);
  const Config c = choose(p);
  return with_shape(c.steps, c.tiles, [&]<class S>(S) -> Launch {
    allow_shared(kKernel<S>, c.shared);
    const std::int64_t groups = groups_of(p);
    const std::int64_t resident = resident_blocks(kKernel<S>, kThreads, c.shared);
    const std::int64_t streams = std::clamp<std::int64_t>(resident / groups, 1, a.tokens);
    auto* const taken = static_cast<int*>(buffers.workspace);
    return [=](Stream stream) {
      launch(reset, {.threads = kWarpSize, .stream = stream}, taken, static_cast<int>(groups));
      launch(kKernel<S>,
             {.blocks = streams * groups,
              .threads = kThreads,
              .shared_bytes = c.shared,
              .stream = stream},
             a, c.stages, static_cast<int>(groups), taken);
    };
  });
}

std::string unsupported(const Problem& p) {
  if (p.dtype_of("V") != DType::bf16) return "V is not bf16";
  if (p.dtype_of("O") != DType::bf16) return "O is not bf16";
  if (p.dim("D") % 8 != 0) return "rows are no multiple of 16 bytes, as bulk copies need";
  if (p.dim("D") > kMaxSteps * kWarps * kStep) return "more than 3072 hidden elements";
  if (p.dim("N") > kMaxTiles * kTileRows) return "more than 32 sources";
  const std::int64_t needed =
      choose(p).shared +
      kMaxStages * static_cast<std::int64_t>(sizeof(std::uint64_t) + sizeof(int));
  if (needed > max_shared_bytes()) {
    return "two tokens need " + std::to_string(needed) + " bytes of shared memory a block";
  }
  return too_large(p);
}

Numerics numerics(const Problem& p) {
  // An mma of 16 elements is counted as 8 roundings, as in tensor_core. Leading terms: a warp's
  // steps, the other terms, half of the warps one after the other, the halves. What the other terms
  // cut off is 2^-8 of that. Squares: 4 of a step, 4 lanes, and the warps.
  const Config c = choose(p);
  const std::int64_t steps = with_shape(c.steps, c.tiles, []<class S>(S) { return S::kSteps; });
  const std::int64_t warps = kWarps / 2 + 1;
  const std::int64_t dots = 8 + steps + 2 + warps, squares = 4 * steps + 2 + warps;
  return {.summation_height = height(std::max(dots, squares), 1), .truncates_mix = true};
}

}  // namespace

ASSAY_VARIANT(tensor_core_bulk){
    .op = "attnres_fwd",
    .name = "tensor_core_bulk",
    .summary =
        "as tensor_core, by blocks that stay: V by bulk copies, c in registers, O transposed",
    .backend = kTwinBackend,
    .arch = {.min = 90},
    .strided = true,
    .numerics = numerics,
    .unsupported = unsupported,
    .workspace = [](const Problem& p) { return Workspace{4 * groups_of(p)}; },
    .prepare = prepare,
};

}  // namespace assay::ASSAY_TWIN::attnres_fwd_tensor_core_bulk
