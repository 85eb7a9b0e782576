// attnres_merge_bwd/naive: one kernel per step of the formulas, intermediates through memory, as
// eager frameworks run them. P and dH are read three and two times. The plainest statement of the
// op on a GPU, and what `fused` has to beat.
#include "kernels/attnres_merge_bwd/arguments.h"
#include "kernels/device/weight_gradient.h"

namespace assay::ASSAY_TWIN::attnres_merge_bwd_naive {

using namespace attnres_merge_bwd;

constexpr int kThreads = 256;
// Of the tokens, for X: two for each multiprocessor of an H100.
constexpr std::int64_t kParts = 264;

// Sums (T) over D; one block per row.
template <int kThreads>
ASSAY_KERNEL(kThreads)
void sum_rows(Arguments a, Sums* sums) {
  for (std::int64_t t = block_index(); t < a.tokens; t += num_blocks()) {
    const Sums all = add_up_row(a, t);
    if (thread_index() == 0) sums[t] = all;
  }
}

// Coefficients and dL1 (T); one thread per token.
template <int kThreads>
ASSAY_KERNEL(kThreads)
void merge(Arguments a, const Sums* sums, Coefficients* coefficients) {
  const std::int64_t step = static_cast<std::int64_t>(num_blocks()) * num_threads();
  std::int64_t t = static_cast<std::int64_t>(block_index()) * num_threads() + thread_index();
  for (; t < a.tokens; t += step) {
    const Coefficients of = merge_backward(a, sums[t], a.l1.load(t), lse_cotangent(a, t));
    coefficients[t] = of;
    a.d_l1.store(t, of.d_l1);
  }
}

// dP and dO1 (T, D); one block per row.
template <int kThreads>
ASSAY_KERNEL(kThreads)
void value_gradients(Arguments a, const Coefficients* coefficients) {
  for (std::int64_t t = block_index(); t < a.tokens; t += num_blocks())
    differentiate_row(a, t, coefficients[t], [](int, const auto&) {});
}

// Partial sums of X (parts, D) over tokens part, part + parts, …; one block for each part.
template <int kThreads>
ASSAY_KERNEL(kThreads)
void weight_gradient(Arguments a, const Coefficients* coefficients, float* x) {
  const int part = block_index(), parts = num_blocks();
  float* const mine = x + static_cast<std::int64_t>(part) * a.dim;
  for_each_part<Arguments::kPart>(a.aligned, 0, a.dim, [&]<int kCount>(int d, Count<kCount>) {
    float sum[kCount] = {};
    for (std::int64_t t = part; t < a.tokens; t += parts) {
      const float key = coefficients[t].key;
      float p[kCount];
      load_part(a.p, t * a.dim + d, p);
      ASSAY_UNROLL
      for (int j = 0; j < kCount; ++j) sum[j] += key * p[j];
    }
    ASSAY_UNROLL
    for (int j = 0; j < kCount; ++j) mine[d + j] = sum[j];
  });
}

namespace {

std::int64_t parts_of(const Problem& p) { return std::min(p.dim("T"), kParts); }

Launch prepare(const Problem& p, const Buffers& buffers) {
  const Arguments a = arguments(p, buffers);
  const std::int64_t parts = parts_of(p);
  auto* const coefficients = static_cast<Coefficients*>(buffers.workspace);
  auto* const sums = reinterpret_cast<Sums*>(coefficients + a.tokens);
  auto* const x = reinterpret_cast<float*>(sums + a.tokens);
  const auto shape = [](std::int64_t blocks, Stream stream) {
    constexpr std::int64_t kMostBlocks = std::int64_t{1} << 30;  // the kernels loop over the rest
    return LaunchConfig{
        .blocks = std::min(blocks, kMostBlocks), .threads = kThreads, .stream = stream};
  };
  return [=](Stream stream) {
    launch(sum_rows<kThreads>, shape(a.tokens, stream), a, sums);
    launch(merge<kThreads>, shape(ceil_div(a.tokens, kThreads), stream), a, sums, coefficients);
    launch(value_gradients<kThreads>, shape(a.tokens, stream), a, coefficients);
    launch(weight_gradient<kThreads>, shape(parts, stream), a, coefficients, x);
    launch_reduce(a, x, parts, stream);
  };
}

}  // namespace

ASSAY_VARIANT(naive){
    .op = "attnres_merge_bwd",
    .name = "naive",
    .summary = "one kernel per step: sums, weights, gradients of rows, gradients of weights",
    .backend = kTwinBackend,
    .arch = {.min = 80},
    .numerics =
        [](const Problem& p) {
          const std::int64_t parts = parts_of(p);
          return Numerics{
              // Vectors of 8 in any dtype, as block_sum_height has them for 16 bits.
              .summation_height = block_sum_height(p.dim("D"), DType::bf16, kThreads),
              .batch_height = height(ceil_div(p.dim("T"), parts) + reduce_height(parts), 1)};
        },
    .unsupported = too_large,
    .workspace =
        [](const Problem& p) {
          const auto pair = static_cast<std::int64_t>(sizeof(Coefficients) + sizeof(Sums));
          return Workspace{p.dim("T") * pair + parts_of(p) * p.dim("D") * 4};
        },
    .prepare = prepare,
};

}  // namespace assay::ASSAY_TWIN::attnres_merge_bwd_naive
