// attnres_fwd/tensor_core: scores V cᵀ (sources x queries) and mix α V (queries x hidden) as small
// matrix products through mma.sync. Sums of bf16 terms stand for what is not bf16: c, α and fp32 V
// have three, fp16 V two, bf16 V is its own; the products of terms that matter to fp32 are formed,
// so that the result keeps fp32's accuracy. Versus fused: the work of many queries leaves the CUDA
// cores. Loses for few queries, as a tile has eight; on an H100 by 11 % at N = 10, Q = 6, D = 2304
// and by 35 % at N = 8, Q = 8, D = 2048.
#include "kernels/attnres_fwd/rows.h"
#include "kernels/device/launch.h"
#include "kernels/device/math.h"
#include "kernels/device/mma.h"
#include "kernels/device/terms.h"

namespace assay::ASSAY_TWIN::attnres_fwd_tensor_core {

using namespace attnres_fwd;

constexpr int kWarps = 8, kThreads = kWarps * kWarpSize;
constexpr int kTerms = 3;      // of c and α
constexpr int kTileRows = 16;  // sources of an mma tile
constexpr int kStep = 16;      // hidden elements of one mma of the scores
constexpr int kTokens = 2;     // of a block: each fragment of c is loaded once for both
constexpr int kMixDim = 32;    // hidden elements that a warp mixes at once: 4 tiles of 8
constexpr int kPad =
    8;  // elements between rows in shared memory: rows of 16 bytes fall into different banks

// How a block holds V: as planes [plane][token][row][pitch] of bf16. Resident: all sources and all
// of D at once, staged once. Otherwise a panel of 16 rows and `width` elements, staged again for
// the mix.
struct Panel {
  bool resident;
  int rows, width;     // width: a multiple of kWarps * kMixDim
  int chunks;          // of kTileRows sources
  std::int64_t bytes;  // shared memory for V

  ASSAY_DEVICE int pitch() const { return width + kPad; }
};

// Fragments of c = w⊙g as operand B, for the group of queries [8 j, 8 j + 8) and the elements [16
// s, 16 s + 16): [group][step][term][lane][2 words]. Queries and elements that are not there are
// zero.
template <class T>
ASSAY_KERNEL(kThreads)
void fold(Arguments<T> a, std::uint32_t* fragments, int groups, int steps) {
  const std::int64_t count = static_cast<std::int64_t>(groups) * steps * kWarpSize * 2;
  const std::int64_t stride = static_cast<std::int64_t>(num_blocks()) * num_threads();
  std::int64_t i = static_cast<std::int64_t>(block_index()) * num_threads() + thread_index();
  for (; i < count; i += stride) {
    const int word = static_cast<int>(i % 2), lane = static_cast<int>(i / 2 % kWarpSize);
    const std::int64_t group_step = i / 2 / kWarpSize;
    const int q = static_cast<int>(group_step / steps) * 8 + lane / 4;
    const int d = static_cast<int>(group_step % steps) * kStep + lane % 4 * 2 + word * 8;
    bf16 low[kTerms], high[kTerms];
    float c[1] = {};
    if (q < a.queries && d < a.dim) load_weights(a, q, d, c);
    split(c[0], low);
    c[0] = 0;
    if (q < a.queries && d + 1 < a.dim) load_weights(a, q, d + 1, c);
    split(c[0], high);
    ASSAY_UNROLL
    for (int term = 0; term < kTerms; ++term) {
      fragments[((group_step * kTerms + term) * kWarpSize + lane) * 2 + word] =
          pack(low[term], high[term]);
    }
  }
}

// Stages `rows` sources from `first_row` on, elements [begin, begin + panel.width), of the block's
// tokens; zero beyond D and beyond the last token. A warp takes a whole row, and adds its squares
// to squares[token][source] if asked to.
template <class T>
ASSAY_DEVICE void stage(const Arguments<T>& a, const Panel& panel, bf16* planes, std::int64_t token,
                        int first_row, int rows, int begin, float* squares) {
  constexpr int kSize = kVectorSize<T>;
  constexpr int kAhead = 4;  // vectors of a lane under way
  const std::int64_t plane = static_cast<std::int64_t>(kTokens) * panel.rows * panel.pitch();
  for (int i = warp_index(); i < kTokens * rows; i += kWarps) {
    const int k = i / rows, row = i % rows, source = first_row + row;
    const bool present = token + k < a.tokens;
    const T* from = a.row(source, present ? token + k : token);
    bf16* to = planes + (k * panel.rows + row) * panel.pitch();
    float square = 0;
    for (int base = 0; base < panel.width; base += kAhead * kWarpSize * kSize) {
      float x[kAhead][kSize];
      ASSAY_UNROLL
      for (int n = 0; n < kAhead; ++n) {
        const int d = begin + base + (n * kWarpSize + lane_index()) * kSize;
        ASSAY_UNROLL
        for (int j = 0; j < kSize; ++j) x[n][j] = 0;
        if (!present) continue;
        if (a.aligned) {
          if (d < a.dim) load_elements(from + d, x[n]);
        } else {
          ASSAY_UNROLL
          for (int j = 0; j < kSize; ++j) {
            if (d + j < a.dim) x[n][j] = widen(from[d + j]);
          }
        }
      }
      ASSAY_UNROLL
      for (int n = 0; n < kAhead; ++n) {
        const int d = base + (n * kWarpSize + lane_index()) * kSize;
        if (d >= panel.width) continue;
        std::uint32_t words[kPlanes<T>][kSize / 2];
        float vector_square = 0;
        ASSAY_UNROLL
        for (int j = 0; j < kSize; j += 2) {
          bf16 low[kPlanes<T>], high[kPlanes<T>];
          split(x[n][j], low);
          split(x[n][j + 1], high);
          ASSAY_UNROLL
          for (int p = 0; p < kPlanes<T>; ++p) words[p][j / 2] = pack(low[p], high[p]);
          vector_square += x[n][j] * x[n][j] + x[n][j + 1] * x[n][j + 1];
        }
        square += vector_square;
        ASSAY_UNROLL
        for (int p = 0; p < kPlanes<T>; ++p) store_words(to + p * plane + d, words[p]);
      }
    }
    if (!squares) continue;
    square = warp_sum(square);
    if (lane_index() == 0) squares[k * a.sources + source] += square;
  }
}

// One block per kTokens tokens and group of 8 * kGroups queries.
template <class T, int kGroups>
ASSAY_KERNEL(kThreads)
void attend(Arguments<T> a, Panel panel, const std::uint32_t* fragments, int steps,
            int query_groups) {
  constexpr int kQueries = 8 * kGroups;
  const int lane = lane_index(), warp = warp_index();
  const int first_group = block_index() % query_groups * kGroups;
  const std::int64_t token = static_cast<std::int64_t>(block_index() / query_groups) * kTokens;
  const int tiles = (a.dim + panel.width - 1) / panel.width;

  // Shared memory: V, then squares [token][source], logits [token][source][query] and α as operand
  // A of the mix: [token][chunk][term][lane][4 words].
  bf16* planes = dyn_shared<bf16>();
  const std::int64_t plane = static_cast<std::int64_t>(kTokens) * panel.rows * panel.pitch();
  const int padded = panel.chunks * kTileRows;  // sources
  auto* alpha = dyn_shared<bf16>(panel.bytes);
  float* logits = reinterpret_cast<float*>(alpha + kTokens * panel.chunks * kTerms * kWarpSize * 8);
  float* squares = logits + kTokens * padded * kQueries;
  ASSAY_SHARED(partial, [kWarps][kTokens][kTileRows][kQueries], float);

  for (int i = thread_index(); i < kTokens * a.sources; i += kThreads) squares[i] = 0;
  for (int i = thread_index(); i < kTokens * panel.chunks * kTerms * kWarpSize * 8; i += kThreads) {
    alpha[i] = bf16{0};
  }
  sync_threads();
  if (panel.resident) {
    stage(a, panel, planes, token, 0, a.sources, 0, squares);
    sync_threads();
  }

  // The address that this lane gives to ldmatrix for a 16 x 16 tile of V: rows lane % 16, the left
  // or right half. Rows that are not there repeat the last one: their logits are not used, and
  // their weight α is zero.
  const auto tile = [&](int p, int k, int chunk, int d) {
    const int last =
        panel.resident ? a.sources - 1 : min(kTileRows, a.sources - chunk * kTileRows) - 1;
    const int row = min((panel.resident ? chunk * kTileRows : 0) + lane % 16, last);
    return planes + p * plane + (k * panel.rows + row) * panel.pitch() + d + lane / 16 * 8;
  };

  // Scores: the warps share the steps of 16 elements of D; the products of the leading terms have
  // sums of their own.
  for (int chunk = 0; chunk < panel.chunks; ++chunk) {
    const int rows = min(kTileRows, a.sources - chunk * kTileRows);
    float lead[kTokens][kGroups][4] = {}, rest[kTokens][kGroups][4] = {};
    for (int t = 0; t < tiles; ++t) {
      if (!panel.resident) {
        sync_threads();
        stage(a, panel, planes, token, chunk * kTileRows, rows, t * panel.width, squares);
        sync_threads();
      }
      const int end = min(panel.width / kStep, steps - t * (panel.width / kStep));
      for (int s = warp; s < end; s += kWarps) {
        std::uint32_t c[kGroups][kTerms][2];
        ASSAY_UNROLL
        for (int g = 0; g < kGroups; ++g) {
          const std::int64_t at =
              static_cast<std::int64_t>(first_group + g) * steps + t * (panel.width / kStep) + s;
          ASSAY_UNROLL
          for (int term = 0; term < kTerms; ++term) {
            load_words(fragments + ((at * kTerms + term) * kWarpSize + lane) * 2, c[g][term]);
          }
        }
        ASSAY_UNROLL
        for (int k = 0; k < kTokens; ++k) {
          ASSAY_UNROLL
          for (int p = 0; p < kPlanes<T>; ++p) {
            std::uint32_t v[4];
            ldmatrix_x4(v, tile(p, k, chunk, s * kStep));
            ASSAY_UNROLL
            for (int g = 0; g < kGroups; ++g) {
              ASSAY_UNROLL
              for (int term = 0; term + p < kTerms; ++term) {
                mma_m16n8k16(term + p == 0 ? lead[k][g] : rest[k][g], v, c[g][term]);
              }
            }
          }
        }
      }
    }
    ASSAY_UNROLL
    for (int k = 0; k < kTokens; ++k) {
      ASSAY_UNROLL
      for (int g = 0; g < kGroups; ++g) {
        ASSAY_UNROLL
        for (int i = 0; i < 4; ++i) {
          partial[warp][k][lane / 4 + i / 2 * 8][g * 8 + lane % 4 * 2 + i % 2] =
              lead[k][g][i] + rest[k][g][i];
        }
      }
    }
    sync_threads();
    for (int i = thread_index(); i < kTokens * kTileRows * kQueries; i += kThreads) {
      const int q = i % kQueries, row = i / kQueries % kTileRows, k = i / kQueries / kTileRows;
      if (row >= rows) continue;
      float dot = 0;
      for (int w = 0; w < kWarps; ++w) dot += partial[w][k][row][q];
      const int source = chunk * kTileRows + row;
      const float mean = squares[k * a.sources + source] / static_cast<float>(a.dim);
      logits[(k * padded + source) * kQueries + q] = dot * (reciprocal_sqrt(mean + a.eps) * kLog2E);
    }
    sync_threads();
  }

  // Softmax: a warp for each token and query, lanes over sources. α is put where the mix will load
  // it as operand A, whose rows are queries and whose columns are sources.
  for (int i = warp; i < kTokens * kQueries; i += kWarps) {
    const int q = i % kQueries, k = i / kQueries;
    const float* column = logits + k * padded * kQueries + q;
    float max = minus_infinity(), total = 0;
    for (int n = lane; n < a.sources; n += kWarpSize) max = maximum(max, column[n * kQueries]);
    max = warp_max(max);
    for (int n = lane; n < a.sources; n += kWarpSize) {
      total += exp2_approx(column[n * kQueries] - max);
    }
    total = warp_sum(total);
    const int query = first_group * 8 + q;
    if (query >= a.queries || token + k >= a.tokens) continue;
    for (int n = lane; n < a.sources; n += kWarpSize) {
      bf16 terms[kTerms];
      split(exp2_approx(column[n * kQueries] - max) / total, terms);
      const int column_in_tile = n % kTileRows;
      const int at_lane = q % 8 * 4 + column_in_tile % 8 / 2;
      const int at_half = (q / 8 + column_in_tile / 8 * 2) * 2 + column_in_tile % 2;
      ASSAY_UNROLL
      for (int term = 0; term < kTerms; ++term) {
        const int fragment = (k * panel.chunks + n / kTileRows) * kTerms + term;
        alpha[(fragment * kWarpSize + at_lane) * 8 + at_half] = terms[term];
      }
    }
    if (lane == 0) {
      a.lse.store(a.lse_at(query, token + k), max * kLn2 + log_accurate(total));
    }
  }
  sync_threads();

  // Mix: the warps share the elements of D, kMixDim at a time. Small terms first: what is cut off
  // then is cut off small sums.
  for (int t = 0; t < tiles; ++t) {
    const int begin = t * panel.width, end = min(panel.width, a.dim - begin);
    for (int base = 0; base < end; base += kWarps * kMixDim) {
      const int d = base + warp * kMixDim;  // within the panel
      float sum[kTokens][kMixDim / 8][4] = {};
      for (int chunk = 0; chunk < panel.chunks; ++chunk) {
        if (!panel.resident && (panel.chunks > 1 || base == 0)) {
          sync_threads();
          stage(a, panel, planes, token, chunk * kTileRows,
                min(kTileRows, a.sources - chunk * kTileRows), begin, nullptr);
          sync_threads();
        }
        ASSAY_UNROLL
        for (int k = 0; k < kTokens; ++k) {
          std::uint32_t weights[kTerms][4];
          ASSAY_UNROLL
          for (int term = 0; term < kTerms; ++term) {
            const int fragment = (k * panel.chunks + chunk) * kTerms + term;
            load_words(alpha + (fragment * kWarpSize + lane) * 8, weights[term]);
          }
          ASSAY_UNROLL
          for (int half = 0; half < kMixDim / 16; ++half) {
            std::uint32_t v[kPlanes<T>][4];
            ASSAY_UNROLL
            for (int p = 0; p < kPlanes<T>; ++p) {
              ldmatrix_x4_transposed(v[p], tile(p, k, chunk, d + half * 16));
            }
            ASSAY_UNROLL
            for (int order = kTerms - 1; order >= 0; --order) {
              ASSAY_UNROLL
              for (int p = 0; p < kPlanes<T>; ++p) {
                if (p > order) continue;
                const std::uint32_t left[2] = {v[p][0], v[p][1]}, right[2] = {v[p][2], v[p][3]};
                mma_m16n8k16(sum[k][2 * half], weights[order - p], left);
                mma_m16n8k16(sum[k][2 * half + 1], weights[order - p], right);
              }
            }
          }
        }
      }
      ASSAY_UNROLL
      for (int k = 0; k < kTokens; ++k) {
        if (token + k >= a.tokens) break;
        ASSAY_UNROLL
        for (int i = 0; i < 2 * kGroups; i += 2) {  // queries lane / 4, then + 8
          const int q = first_group * 8 + lane / 4 + i / 2 * 8;
          if (q >= a.queries) break;
          const std::int64_t out = a.o_row(q, token + k);
          ASSAY_UNROLL
          for (int j = 0; j < kMixDim / 8; ++j) {
            const int column = begin + d + j * 8 + lane % 4 * 2;
            const float pair[2] = {sum[k][j][i], sum[k][j][i + 1]};
            if (a.aligned) {
              if (column < a.dim) a.o.store(out + column, pair);
            } else {
              if (column < a.dim) a.o.store(out + column, pair[0]);
              if (column + 1 < a.dim) a.o.store(out + column + 1, pair[1]);
            }
          }
        }
      }
    }
  }
}

namespace {

// What a launch is made of besides the arguments.
struct Plan {
  Panel panel;
  int groups;                 // of 8 queries that a block answers
  std::int64_t query_blocks;  // blocks for the queries of kTokens tokens
  std::int64_t steps;         // of 16 hidden elements
  std::int64_t shared;        // bytes, dynamic
  std::int64_t fragments;     // words of the workspace
};

int planes_of(DType v) { return v == DType::f32 ? 3 : v == DType::f16 ? 2 : 1; }

Plan make_plan(const Problem& p) {
  const std::int64_t sources = p.dim("N"), dim = p.dim("D");
  Plan plan = {};
  plan.groups = p.dim("Q") > 8 ? 2 : 1;
  plan.query_blocks = ceil_div(p.dim("Q"), 8 * plan.groups);
  plan.steps = ceil_div(dim, kStep);
  plan.fragments = plan.query_blocks * plan.groups * plan.steps * kTerms * kWarpSize * 2;

  Panel& panel = plan.panel;
  panel.chunks = static_cast<int>(ceil_div(sources, kTileRows));
  const std::int64_t alpha = kTokens * panel.chunks * kTerms * kWarpSize * 16;
  const std::int64_t logits = kTokens * panel.chunks * kTileRows * 8 * plan.groups * 4;
  const std::int64_t besides = alpha + logits + round_up(kTokens * sources * 4, 16);
  const auto v_bytes = [&](std::int64_t rows, std::int64_t width) {
    return kTokens * rows * (width + kPad) * planes_of(p.dtype_of("V")) * 2;
  };
  constexpr std::int64_t kStatic = 16 << 10;  // the partial scores of 16 queries
  constexpr std::int64_t kQuantum = kWarps * kMixDim;
  const std::int64_t whole = round_up(dim, kQuantum);
  panel.resident = v_bytes(sources, whole) + besides + kStatic <= max_shared_bytes();
  panel.rows =
      static_cast<int>(panel.resident ? sources : std::min<std::int64_t>(sources, kTileRows));
  panel.width = static_cast<int>(
      panel.resident ? whole : std::min(whole, panel.chunks == 1 ? 2 * kQuantum : kQuantum));
  panel.bytes = v_bytes(panel.rows, panel.width);
  plan.shared = panel.bytes + besides;
  return plan;
}

template <class T>
Launch prepare(const Problem& p, const Buffers& buffers) {
  const Arguments<T> a = arguments<T>(p, buffers);
  const Plan plan = make_plan(p);
  auto* fragments = static_cast<std::uint32_t*>(buffers.workspace);
  const int steps = static_cast<int>(plan.steps);
  const int query_groups = static_cast<int>(plan.query_blocks);
  const auto kernel = plan.groups == 2 ? attend<T, 2> : attend<T, 1>;
  allow_shared(kernel, plan.shared);
  const std::int64_t fold_blocks =
      std::min<std::int64_t>(ceil_div(plan.fragments, 3 * kThreads), 1024);
  return [=](Stream stream) {
    launch(fold<T>, {.blocks = fold_blocks, .threads = kThreads, .stream = stream}, a, fragments,
           query_groups * plan.groups, steps);
    launch(kernel,
           {.blocks = ceil_div(a.tokens, kTokens) * query_groups,
            .threads = kThreads,
            .shared_bytes = plan.shared,
            .stream = stream},
           a, plan.panel, fragments, steps, query_groups);
  };
}

std::string unsupported(const Problem& p) {
  const std::int64_t needed = make_plan(p).shared + (16 << 10);
  if (needed > max_shared_bytes()) {
    return "needs " + std::to_string(needed) + " bytes of shared memory a block";
  }
  if (ceil_div(p.dim("T"), kTokens) * make_plan(p).query_blocks > INT32_MAX) {
    return "needs more than 2^31 - 1 blocks";
  }
  return too_large(p);
}

Numerics numerics(const Problem& p) {
  // An mma of 16 elements is two sums of eight products and the accumulator. Each cuts off its
  // operands, aligned, and its result: counted as 4 roundings. Then the two sums of a warp, and one
  // warp after the other.
  const std::int64_t steps = ceil_div(ceil_div(p.dim("D"), kStep), kWarps);
  const std::int64_t scores = 8 * steps + 1 + kWarps;
  // Squares: 8 of a vector, a lane's vectors, the lanes, the panels.
  const std::int64_t squares = 8 + ceil_div(p.dim("D"), kWarpSize * 4) + 5;
  return {.summation_height = height(std::max(scores, squares), 1), .truncates_mix = true};
}

}  // namespace

ASSAY_VARIANT(tensor_core){
    .op = "attnres_fwd",
    .name = "tensor_core",
    .summary = "scores and mix through mma.sync, exact sums of bf16 terms in place of fp32",
    .backend = kTwinBackend,
    .arch = {.min = 80},
    .strided = true,
    .numerics = numerics,
    .unsupported = unsupported,
    .workspace = [](const Problem& p) { return Workspace{4 * make_plan(p).fragments}; },
    .prepare =
        [](const Problem& p, const Buffers& buffers) {
          return dispatch(p.dtype_of("V"),
                          [&]<class T>(std::type_identity<T>) { return prepare<T>(p, buffers); });
        },
};

}  // namespace assay::ASSAY_TWIN::attnres_fwd_tensor_core
