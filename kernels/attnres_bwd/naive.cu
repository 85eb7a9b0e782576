// attnres_bwd/naive: one kernel per step of the formulas, intermediates through memory, as eager
// frameworks run them. V is read 2 + 3Q times. The plainest statement of the op on a GPU, and what
// `fused` has to beat.
#include "kernels/attnres_bwd/row_sums.h"
#include "kernels/attnres_fwd/rows.h"
#include "kernels/device/weight_gradient.h"

namespace assay::ASSAY_TWIN::attnres_bwd_naive {

using namespace attnres_bwd;
using attnres_fwd::for_each_part;
using attnres_fwd::load_weights;

constexpr int kThreads = 256;
constexpr std::int64_t kParts =
    264;  // of the tokens, for X: two for each multiprocessor of an H100

// Sums (Q, T, N) over D; one block for each.
template <int kThreads>
ASSAY_KERNEL(kThreads)
void sum_rows(Arguments a, Sums* sums) {
  const std::int64_t all = a.queries * a.tokens * a.sources;
  for (std::int64_t qtn = block_index(); qtn < all; qtn += num_blocks()) {
    const int n = static_cast<int>(qtn % a.sources);
    const std::int64_t t = qtn / a.sources % a.tokens;
    const int q = static_cast<int>(qtn / a.sources / a.tokens);
    const Sums own = row_sums(a, q, n, t);
    if (thread_index() == 0) sums[qtn] = own;
  }
}

// Coefficients (Q, T, N); one warp for each query and token.
template <int kThreads>
ASSAY_KERNEL(kThreads)
void softmax(Arguments a, const Sums* sums, Coefficients* coefficients) {
  const std::int64_t columns = a.queries * a.tokens;
  const std::int64_t step = static_cast<std::int64_t>(num_blocks()) * num_warps();
  std::int64_t qt = static_cast<std::int64_t>(block_index()) * num_warps() + warp_index();
  for (; qt < columns; qt += step) {
    softmax_backward(
        a, a.d_lse.present() ? a.d_lse.load(qt) : 0,
        [&](int n) { return sums[qt * a.sources + n]; }, coefficients + qt * a.sources);
  }
}

// dV (N, T, D); one block for each row.
template <int kThreads>
ASSAY_KERNEL(kThreads)
void value_gradient(Arguments a, const Coefficients* coefficients) {
  const std::int64_t rows = a.sources * a.tokens;
  for (std::int64_t nt = block_index(); nt < rows; nt += num_blocks()) {
    const int n = static_cast<int>(nt / a.tokens);
    const std::int64_t t = nt % a.tokens;
    for_each_part(a, 0, a.dim, [&]<int kCount>(int d, Count<kCount>) {
      float v[kCount], out[kCount] = {};
      load_part(a.v, nt * a.dim + d, v);
      float radial = 0;
      for (int q = 0; q < a.queries; ++q) {
        const Coefficients of = coefficients[(q * a.tokens + t) * a.sources + n];
        float c[kCount], d_o[kCount];
        load_part(a.d_o, a.query_row(q, t) + d, d_o);
        load_weights(a, q, d, c);
        radial += of.radial;
        ASSAY_UNROLL
        for (int j = 0; j < kCount; ++j) out[j] += of.alpha * d_o[j] + of.key * c[j];
      }
      float given[kCount] = {};
      if (a.accumulate) load_part(a.given(), nt * a.dim + d, given);
      ASSAY_UNROLL
      for (int j = 0; j < kCount; ++j) out[j] += given[j] - radial * v[j];
      store_part(a.d_v, nt * a.dim + d, out);
    });
  }
}

// Partial sums of X (parts, Q, D) over tokens part, part + parts, …; one block for each part and
// query.
template <int kThreads>
ASSAY_KERNEL(kThreads)
void weight_gradient(Arguments a, const Coefficients* coefficients, int parts, float* x) {
  const int q = block_index() % a.queries, part = block_index() / a.queries;
  float* const mine = x + (static_cast<std::int64_t>(part) * a.queries + q) * a.dim;
  for_each_part(a, 0, a.dim, [&]<int kCount>(int d, Count<kCount>) {
    float sum[kCount] = {};
    for (std::int64_t t = part; t < a.tokens; t += parts) {
      for (int n = 0; n < a.sources; ++n) {
        const float key = coefficients[(q * a.tokens + t) * a.sources + n].key;
        float v[kCount];
        load_part(a.v, a.row(n, t) + d, v);
        ASSAY_UNROLL
        for (int j = 0; j < kCount; ++j) sum[j] += key * v[j];
      }
    }
    ASSAY_UNROLL
    for (int j = 0; j < kCount; ++j) mine[d + j] = sum[j];
  });
}

namespace {

std::int64_t parts_of(const Problem& p) { return std::min(p.dim("T"), kParts); }

std::int64_t columns_of(const Problem& p) { return p.dim("Q") * p.dim("T") * p.dim("N"); }

Launch prepare(const Problem& p, const Buffers& buffers) {
  const Arguments a = arguments(p, buffers);
  const std::int64_t parts = parts_of(p), columns = columns_of(p);
  auto* const coefficients = static_cast<Coefficients*>(buffers.workspace);
  auto* const sums = reinterpret_cast<Sums*>(coefficients + columns);
  auto* const x = reinterpret_cast<float*>(sums + columns);
  const auto shape = [](std::int64_t blocks, Stream stream) {
    constexpr std::int64_t kMostBlocks = std::int64_t{1} << 30;  // the kernels loop over the rest
    return LaunchConfig{
        .blocks = std::min(blocks, kMostBlocks), .threads = kThreads, .stream = stream};
  };
  return [=](Stream stream) {
    launch(sum_rows<kThreads>, shape(columns, stream), a, sums);
    launch(softmax<kThreads>, shape(ceil_div(a.queries * a.tokens, kThreads / kWarpSize), stream),
           a, sums, coefficients);
    launch(value_gradient<kThreads>, shape(a.sources * a.tokens, stream), a, coefficients);
    launch(weight_gradient<kThreads>, shape(parts * a.queries, stream), a, coefficients,
           static_cast<int>(parts), x);
    launch_reduce(a, x, parts, stream);
  };
}

}  // namespace

ASSAY_VARIANT(naive){
    .op = "attnres_bwd",
    .name = "naive",
    .summary = "one kernel per step, intermediates through memory",
    .backend = kTwinBackend,
    .arch = {.min = 80},
    .numerics =
        [](const Problem& p) {
          const std::int64_t parts = parts_of(p);
          const std::int64_t vectors = kThreads * Arguments::kPart;
          return Numerics{
              .summation_height = height(ceil_div(p.dim("D"), vectors) * Arguments::kPart + 10, 1),
              .batch_height =
                  height(ceil_div(p.dim("T"), parts) * p.dim("N") + reduce_height(parts), 1)};
        },
    .unsupported = [](const Problem& p) -> std::string {
      constexpr std::int64_t kMost = std::int64_t{1} << 30;
      return p.dim("Q") > kMost / kParts ? "Q above 2^30 / 264" : too_large(p);
    },
    .workspace =
        [](const Problem& p) {
          const auto pair = static_cast<std::int64_t>(sizeof(Coefficients) + sizeof(Sums));
          return Workspace{columns_of(p) * pair + parts_of(p) * p.dim("Q") * p.dim("D") * 4};
        },
    .prepare = prepare,
};

}  // namespace assay::ASSAY_TWIN::attnres_bwd_naive
