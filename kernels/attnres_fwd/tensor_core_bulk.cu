// attnres_fwd/tensor_core_bulk: as tensor_core, scores and mix are products through mma.sync, exact
// sums of three bf16 terms in place of fp32 c and α, but blocks stay: one on each multiprocessor
// takes tokens in turn. Bulk copies of whole tokens run ahead into a ring in shared memory; each of
// the 16 warps owns a slice of D, whose fragments of c stay in registers over all
// tokens, and meets the others twice a token, around the softmax. The mix is done transposed, d by
// queries, which wastes no half of a tile as up to 8 queries by d do. Versus tensor_core: V is
// never waited for, c is never loaded again. Loses where tokens are fewer than multiprocessors;
// more than 8 queries take V again from L2, once for each 8.
#include <algorithm>

#include "kernels/attnres_fwd/rows.h"
#include "kernels/device/launch.h"
#include "kernels/device/math.h"
#include "kernels/device/mbarrier.h"
#include "kernels/device/mma.h"
#include "kernels/device/terms.h"

namespace assay::ASSAY_TWIN::attnres_fwd_tensor_core_bulk {

using namespace attnres_fwd;

constexpr int kTerms = 3;        // of c and α
constexpr int kTileRows = 16;    // sources of an mma tile
constexpr int kTileQueries = 8;  // its queries: those of a block
constexpr int kStep = 16;        // hidden elements of one mma
constexpr int kPad = 8;          // elements between rows: those of 8 fall into different banks
// 16 warps leave 128 registers a thread. A warp for the copies alone would leave 96.
constexpr int kWarps = 16, kThreads = kWarps * kWarpSize;
constexpr int kMaxStages = 8;  // tokens in shared memory

// What determines registers: the steps of a warp and the tiles of sources.
template <int kSteps_, int kTiles_>
struct Shape {
  static constexpr int kSteps = kSteps_, kTiles = kTiles_;
  static constexpr int kSlice = kSteps * kStep;          // hidden elements of a warp
  static constexpr int kPitch = kWarps * kSlice + kPad;  // of rows of V in shared memory
  static constexpr int kOwnPitch = kSlice + kPad;        // of rows of a warp's own memory
  static constexpr int kBatch = kSteps % 4 == 0 && kSteps < 12 ? 4 : 3;  // steps mixed at once
  static_assert(kSteps % kBatch == 0);
  // 8 rows of a slice as vectors of 8 elements, and where this lane's are.
  static constexpr int kVectors = kSlice / 8;
  static constexpr int kVectorsOfLane = (kTileQueries * kVectors + kWarpSize - 1) / kWarpSize;
  static constexpr int kRowsAtOnce = std::max(1, kWarpSize / kVectors);
  ASSAY_DEVICE static int query(int i) { return (i * kWarpSize + lane_index()) / kVectors; }
  ASSAY_DEVICE static int column(int i) { return (i * kWarpSize + lane_index()) % kVectors * 8; }
  // A warp's sums over its slice, as floats: scores (tile, query, row), then squares (tile, row).
  // Rows of 20: what a warp writes at once falls into different banks.
  static constexpr int kScoreRow = kTileRows + 4;
  static constexpr int kScores = kTiles * kTileQueries * kScoreRow;
  // A warp's own memory: 8 rows of its slice, of c or O, or its sums.
  static constexpr int kOwnBytes =
      std::max(kTileQueries * kOwnPitch * 2, (kScores + kTiles * kTileRows) * 4);
  // α in terms (term, query, source); rows of 8 queries fall into different banks.
  static constexpr int kAlphaPitch = kTiles * kTileRows + kPad;
  static constexpr int kAlphaBytes = kTerms * kTileQueries * kAlphaPitch * 2;
};

// This warp's slice of 8 rows of w or g, by the vectors that are this lane's; zeros where there is
// none. All loads are under way at once.
template <class S, class T>
ASSAY_DEVICE void load_slice(const Arguments<bf16>& a, int first_query, const T* rows,
                             std::int64_t pitch, float (&x)[S::kVectorsOfLane][8]) {
  ASSAY_UNROLL
  for (int i = 0; i < S::kVectorsOfLane; ++i) {
    const int q = S::query(i), d = warp_index() * S::kSlice + S::column(i);
    ASSAY_UNROLL
    for (int j = 0; j < 8; ++j) x[i][j] = 0;
    if (q >= kTileQueries || first_query + q >= a.queries || d >= a.dim) continue;
    const T* from = rows + (first_query + q) * pitch + d;
    if (a.aligned) {
      load_elements(from, x[i]);
    } else {
      ASSAY_UNROLL
      for (int j = 0; j < 8; ++j) x[i][j] = widen(from[j]);
    }
  }
}
template <class S>
ASSAY_DEVICE void load_slice(const Arguments<bf16>& a, int first_query, const AnyInput& rows,
                             std::int64_t pitch, float (&x)[S::kVectorsOfLane][8]) {
  switch (rows.dtype) {
    case DType::f16:
      return load_slice<S>(a, first_query, rows.as<f16>(), pitch, x);
    case DType::bf16:
      return load_slice<S>(a, first_query, rows.as<bf16>(), pitch, x);
    default:
      return load_slice<S>(a, first_query, rows.as<float>(), pitch, x);
  }
}

// The terms of c = w⊙g in this warp's slice as operands B, by way of the warp's own memory.
template <class S>
ASSAY_DEVICE void fold(const Arguments<bf16>& a, int first_query, bf16* own,
                       std::uint32_t (&c)[kTerms][S::kSteps][2]) {
  float x[S::kVectorsOfLane][8];
  load_slice<S>(a, first_query, a.w, a.w_pitch, x);
  if (a.g.present()) {
    float scale[S::kVectorsOfLane][8];
    load_slice<S>(a, first_query, a.g, a.g_pitch, scale);
    ASSAY_UNROLL
    for (int i = 0; i < S::kVectorsOfLane; ++i) {
      ASSAY_UNROLL
      for (int j = 0; j < 8; ++j) x[i][j] *= scale[i][j];
    }
  }
  const int lane = lane_index();
  ASSAY_UNROLL
  for (int term = 0; term < kTerms; ++term) {
    ASSAY_UNROLL
    for (int i = 0; i < S::kVectorsOfLane; ++i) {
      std::uint32_t words[4];
      ASSAY_UNROLL
      for (int j = 0; j < 8; j += 2) {
        const bf16 low = narrow<bf16>(x[i][j]), high = narrow<bf16>(x[i][j + 1]);
        words[j / 2] = pack(low, high);
        x[i][j] -= widen(low);
        x[i][j + 1] -= widen(high);
      }
      if (S::query(i) < kTileQueries) {
        store_words(own + S::query(i) * S::kOwnPitch + S::column(i), words);
      }
    }
    sync_warp();
    ASSAY_UNROLL
    for (int s = 0; s < S::kSteps; s += 2) {
      const bool pair = s + 1 < S::kSteps;
      std::uint32_t four[4];
      ldmatrix_x4(four, own + lane % 8 * S::kOwnPitch + s * kStep + lane / 8 % (pair ? 4 : 2) * 8);
      c[term][s][0] = four[0], c[term][s][1] = four[1];
      if (pair) c[term][s + 1][0] = four[2], c[term][s + 1][1] = four[3];
    }
    sync_warp();
  }
}

// This warp's part of the scores of a token and of Σ v², into its own memory. Each mma of leading
// terms begins with 0, and what it gives is added up by rounding: sums that are cut off again and
// again come out too small, all of them. `v`: what the lane gives to ldmatrix, by tiles.
template <class S>
ASSAY_DEVICE void score(const bf16* const (&v)[S::kTiles],
                        const std::uint32_t (&c)[kTerms][S::kSteps][2], float* sums) {
  const int g = lane_index() / 4, t = lane_index() % 4;
  float dots[S::kTiles][kTerms][4] = {}, squares[S::kTiles][2] = {};  // of rows g, g + 8
  ASSAY_UNROLL
  for (int s = 0; s < S::kSteps; ++s) {
    ASSAY_UNROLL
    for (int tile = 0; tile < S::kTiles; ++tile) {
      std::uint32_t words[4];
      ldmatrix_x4(words, v[tile] + s * kStep);
      ASSAY_UNROLL
      for (int term = 1; term < kTerms; ++term) {
        mma_m16n8k16(dots[tile][term], words, c[term][s]);
      }
      float lead[4] = {};
      mma_m16n8k16(lead, words, c[0][s]);
      ASSAY_UNROLL
      for (int i = 0; i < 4; ++i) dots[tile][0][i] += lead[i];
      ASSAY_UNROLL
      for (int i = 0; i < 4; ++i) {
        const float low = element<bf16>(&words[i], 0), high = element<bf16>(&words[i], 1);
        squares[tile][i % 2] += low * low;
        squares[tile][i % 2] += high * high;
      }
    }
  }
  ASSAY_UNROLL
  for (int tile = 0; tile < S::kTiles; ++tile) {
    const auto& of = dots[tile];
    ASSAY_UNROLL
    for (int i = 0; i < 4; ++i) {
      sums[(tile * kTileQueries + 2 * t + i % 2) * S::kScoreRow + g + i / 2 * 8] =
          of[0][i] + (of[1][i] + of[2][i]);
    }
    ASSAY_UNROLL
    for (int i = 0; i < 2; ++i) {
      const float square = warp_sum<1, 4>(squares[tile][i]);
      if (t == 0) sums[S::kScores + tile * kTileRows + g + i * 8] = square;
    }
  }
}

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

// This warp's slice of O, queries by elements, into its own memory: Vᵀ αᵀ, small terms first, so
// that what is cut off then is cut off small sums. `v`: what the lane gives to ldmatrix, by tiles.
template <class S>
ASSAY_DEVICE void mix(const bf16* const (&v)[S::kTiles], const bf16* alpha, bf16* own) {
  const int lane = lane_index(), g = lane / 4, t = lane % 4;
  std::uint32_t weights[S::kTiles][kTerms][2];
  ASSAY_UNROLL
  for (int tile = 0; tile < S::kTiles; ++tile) {
    ASSAY_UNROLL
    for (int i = 0; i < 2 * kTerms; ++i) {
      std::uint32_t word[1];
      load_words(alpha + (i / 2 * kTileQueries + g) * S::kAlphaPitch + tile * kTileRows +
                     i % 2 * 8 + 2 * t,
                 word);
      weights[tile][i / 2][i % 2] = word[0];
    }
  }
  bf16* const to = own + lane % 8 * S::kOwnPitch + lane / 8 % 2 * 8;
  ASSAY_UNROLL
  for (int first = 0; first < S::kSteps; first += S::kBatch) {
    std::uint32_t words[S::kTiles][S::kBatch][4];
    float sum[S::kBatch][4] = {};
    ASSAY_UNROLL
    for (int s = 0; s < S::kBatch; ++s) {
      ASSAY_UNROLL
      for (int tile = 0; tile < S::kTiles; ++tile) {
        ldmatrix_x4_transposed(words[tile][s], v[tile] + (first + s) * kStep);
      }
    }
    ASSAY_UNROLL
    for (int term = kTerms - 1; term >= 0; --term) {
      ASSAY_UNROLL
      for (int tile = 0; tile < S::kTiles; ++tile) {
        ASSAY_UNROLL
        for (int s = 0; s < S::kBatch; ++s) {
          mma_m16n8k16(sum[s], words[tile][s], weights[tile][term]);
        }
      }
    }
    ASSAY_UNROLL
    for (int s = 0; s < S::kBatch; ++s) {
      const std::uint32_t pairs[2] = {pack(narrow<bf16>(sum[s][0]), narrow<bf16>(sum[s][1])),
                                      pack(narrow<bf16>(sum[s][2]), narrow<bf16>(sum[s][3]))};
      stmatrix_x2_transposed(to + (first + s) * kStep, pairs);
    }
  }
}

// The rows of a warp's own memory to O, as many at once as 32 lanes have vectors for.
template <class S>
ASSAY_DEVICE void store_slice(const bf16* own, bf16* out, std::int64_t query_stride, int queries,
                              int width) {
  constexpr int kRows = S::kRowsAtOnce, kRounds = kTileQueries / kRows;
  constexpr int kAhead = kRounds < 4 ? kRounds : 4;  // vectors that a lane reads, then writes
  const int row = lane_index() / S::kVectors, d = lane_index() % S::kVectors * 8;
  if (row >= kRows || d >= width) return;
  own += row * S::kOwnPitch + d;
  out += row * query_stride + d;
  ASSAY_UNROLL
  for (int round = 0; round < kRounds; round += kAhead) {
    std::uint32_t words[kAhead][4];
    ASSAY_UNROLL
    for (int k = 0; k < kAhead; ++k) load_words(own + (round + k) * kRows * S::kOwnPitch, words[k]);
    ASSAY_UNROLL
    for (int k = 0; k < kAhead; ++k) {
      if ((round + k) * kRows + row < queries) store_words(out, words[k]);
      out += kRows * query_stride;
    }
  }
}

// Blocks take tokens in turn; block b answers the queries of group b % groups, so that the groups
// of a token run side by side and V comes from L2 for all but one.
template <class S>
ASSAY_KERNEL(kThreads, 1)
void attend(Arguments<bf16> a, int stages, int groups) {
  const int lane = lane_index(), warp = warp_index();
  const int first_query = block_index() % groups * kTileQueries;
  const int first_token = block_index() / groups, token_step = num_blocks() / groups;
  const int tokens = static_cast<int>(a.tokens);  // at most 2^30, see too_large

  // Shared memory: tokens of V (stage, source, kPitch), each warp's own, α.
  ASSAY_SHARED(full, [kMaxStages], std::uint64_t);
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
    if (token >= tokens) return;
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
  if (warp == kFetcher) {
    for (int i = 0; i < ahead; ++i) fetch(first_token + i * token_step, i);
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
  for (int token = first_token; token < tokens; token += token_step) {
    const bf16* v[S::kTiles];
    const auto select = [&](const bf16* const(&first)[S::kTiles]) {
      ASSAY_UNROLL
      for (int tile = 0; tile < S::kTiles; ++tile) v[tile] = first[tile] + stage * stage_size;
    };
    mbarrier_wait(&full[stage], parity);
    select(in_score);
    score<S>(v, c, reinterpret_cast<float*>(own));
    sync_threads();

    // All have mixed the token before: its stage is free.
    if (warp == kFetcher) fetch(token + ahead * token_step, stage == 0 ? ahead : stage - 1);
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
        kWarps * S::kOwnBytes + S::kAlphaBytes + kMaxStages * sizeof(std::uint64_t);
    const std::int64_t stage = p.dim("N") * S::kPitch * 2;
    c.stages = static_cast<int>(
        std::clamp<std::int64_t>((max_shared_bytes() - kBesides) / stage, 2, kMaxStages));
    c.shared = c.stages * stage + kWarps * S::kOwnBytes + S::kAlphaBytes;
    return 0;
  });
  return c;
}

template <class S>
constexpr auto kKernel = attend<S>;

Launch prepare(const Problem& p, const Buffers& buffers) {
  const Arguments<bf16> a = arguments<bf16>(p, buffers);
  const Config c = choose(p);
  return with_shape(c.steps, c.tiles, [&]<class S>(S) -> Launch {
    allow_shared(kKernel<S>, c.shared);
    const std::int64_t groups = ceil_div(a.queries, kTileQueries);
    const std::int64_t resident = resident_blocks(kKernel<S>, kThreads, c.shared);
    const std::int64_t streams = std::clamp<std::int64_t>(resident / groups, 1, a.tokens);
    return [=](Stream stream) {
      launch(kKernel<S>,
             {.blocks = streams * groups,
              .threads = kThreads,
              .shared_bytes = c.shared,
              .stream = stream},
             a, c.stages, static_cast<int>(groups));
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
      choose(p).shared + kMaxStages * static_cast<std::int64_t>(sizeof(std::uint64_t));
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
    .prepare = prepare,
};

}  // namespace assay::ASSAY_TWIN::attnres_fwd_tensor_core_bulk
