// attnres_fwd/naive: one kernel per step of the formula, intermediates through memory, as eager
// frameworks run it. V is read 1 + 2Q times. The plainest statement of the op on a GPU, and what
// `fused` has to beat.
#include "kernels/attnres_fwd/rows.h"
#include "kernels/device/launch.h"
#include "kernels/device/math.h"

namespace assay::ASSAY_TWIN::attnres_fwd_naive {

using namespace attnres_fwd;

constexpr int kThreads = 256;

// r (N, T) = 1 / sqrt(mean V² + eps); one block per row.
template <class T>
ASSAY_KERNEL(kThreads)
void rstd(Arguments<T> a, float* r) {
  const std::int64_t rows = a.sources * a.tokens;
  for (std::int64_t nt = block_index(); nt < rows; nt += num_blocks()) {
    const T* row = a.row(static_cast<int>(nt / a.tokens), nt % a.tokens);
    float squares = 0;
    for_each_part(a, 0, a.dim, [&]<int kCount>(int d, Count<kCount>) {
      float x[kCount];
      load_part(row, d, x);
      ASSAY_UNROLL
      for (int j = 0; j < kCount; ++j) squares += x[j] * x[j];
    });
    squares = block_sum(squares);
    if (thread_index() == 0) {
      r[nt] = reciprocal_sqrt(squares / static_cast<float>(a.dim) + a.eps);
    }
  }
}

// l (Q, N, T) = r Σ_d c V, c = w⊙g; one block per logit.
template <class T>
ASSAY_KERNEL(kThreads)
void logits(Arguments<T> a, const float* r, float* l) {
  const std::int64_t rows = a.sources * a.tokens;
  for (std::int64_t qnt = block_index(); qnt < a.queries * rows; qnt += num_blocks()) {
    const int q = static_cast<int>(qnt / rows);
    const std::int64_t nt = qnt % rows;
    const T* row = a.row(static_cast<int>(nt / a.tokens), nt % a.tokens);
    float dot = 0;
    for_each_part(a, 0, a.dim, [&]<int kCount>(int d, Count<kCount>) {
      float x[kCount], c[kCount];
      load_part(row, d, x);
      load_weights(a, q, d, c);
      ASSAY_UNROLL
      for (int j = 0; j < kCount; ++j) dot += c[j] * x[j];
    });
    dot = block_sum(dot);
    if (thread_index() == 0) l[qnt] = r[nt] * dot;
  }
}

// l (Q, N, T) becomes α = softmax over n; LSE (Q, T); one thread per query and token. A NaN among
// the logits reaches every α through the sum, though the maximum passes over it.
template <class T>
ASSAY_KERNEL(kThreads)
void softmax(Arguments<T> a, float* l) {
  const std::int64_t columns = a.queries * a.tokens;
  const std::int64_t step = static_cast<std::int64_t>(num_blocks()) * num_threads();
  std::int64_t qt = static_cast<std::int64_t>(block_index()) * num_threads() + thread_index();
  for (; qt < columns; qt += step) {
    float* column = l + qt / a.tokens * a.sources * a.tokens + qt % a.tokens;
    float max = minus_infinity();
    for (int n = 0; n < a.sources; ++n) max = maximum(max, column[n * a.tokens]);
    float sum = 0;
    for (int n = 0; n < a.sources; ++n) {
      const float p = exp2_approx((column[n * a.tokens] - max) * kLog2E);
      column[n * a.tokens] = p;
      sum += p;
    }
    for (int n = 0; n < a.sources; ++n) column[n * a.tokens] /= sum;
    a.lse.store(a.lse_at(qt / a.tokens, qt % a.tokens), max + log_accurate(sum));
  }
}

// O (Q, T, D) = Σ_n α V; one block per query and token.
template <class T>
ASSAY_KERNEL(kThreads)
void mix(Arguments<T> a, const float* alpha) {
  const std::int64_t columns = a.queries * a.tokens;
  for (std::int64_t qt = block_index(); qt < columns; qt += num_blocks()) {
    const std::int64_t t = qt % a.tokens;
    const float* column = alpha + qt / a.tokens * a.sources * a.tokens + t;
    for_each_part(a, 0, a.dim, [&]<int kCount>(int d, Count<kCount>) {
      float sum[kCount] = {};
      for (int n = 0; n < a.sources; ++n) {
        const float weight = column[n * a.tokens];
        float x[kCount];
        load_part(a.row(n, t), d, x);
        ASSAY_UNROLL
        for (int j = 0; j < kCount; ++j) sum[j] += weight * x[j];
      }
      store_part(a.o, a.o_row(qt / a.tokens, t) + d, sum);
    });
  }
}

namespace {

// Workspace: l or α (Q, N, T), then r (N, T), fp32.
std::int64_t logit_count(const Problem& p) { return p.dim("Q") * p.dim("N") * p.dim("T"); }
std::int64_t rstd_count(const Problem& p) { return p.dim("N") * p.dim("T"); }

template <class T>
Launch prepare(const Problem& p, const Buffers& buffers) {
  const Arguments<T> a = arguments<T>(p, buffers);
  float* l = static_cast<float*>(buffers.workspace);
  float* r = l + logit_count(p);
  const auto grid = [](std::int64_t blocks, Stream stream) {
    constexpr std::int64_t kMostBlocks = std::int64_t{1} << 30;  // the kernels loop over the rest
    return LaunchConfig{
        .blocks = std::min(blocks, kMostBlocks), .threads = kThreads, .stream = stream};
  };
  const std::int64_t rows = a.sources * a.tokens, columns = a.queries * a.tokens;
  return [=](Stream stream) {
    launch(rstd<T>, grid(rows, stream), a, r);
    launch(logits<T>, grid(a.queries * rows, stream), a, r, l);
    launch(softmax<T>, grid(ceil_div(columns, kThreads), stream), a, l);
    launch(mix<T>, grid(columns, stream), a, l);
  };
}

}  // namespace

ASSAY_VARIANT(naive){
    .op = "attnres_fwd",
    .name = "naive",
    .summary = "one kernel per step: rstd, logits, softmax, mix; intermediates through memory",
    .backend = kTwinBackend,
    .arch = {.min = 80},
    .strided = true,
    .numerics =
        [](const Problem& p) {
          return Numerics{.summation_height = block_sum_height(p, p.dtype_of("V"), kThreads)};
        },
    .unsupported = too_large,
    .workspace = [](const Problem& p) { return Workspace{4 * (logit_count(p) + rstd_count(p))}; },
    .prepare =
        [](const Problem& p, const Buffers& buffers) {
          return dispatch(p.dtype_of("V"),
                          [&]<class T>(std::type_identity<T>) { return prepare<T>(p, buffers); });
        },
};

}  // namespace assay::ASSAY_TWIN::attnres_fwd_naive
