// attnres_merge_fwd/naive: one kernel per step of the formula, intermediates through memory, as
// eager frameworks run it. P is read three times, four with an update. The plainest statement of
// the op on a GPU, and what `fused` has to beat.
#include "kernels/attnres_merge_fwd/arguments.h"
#include "kernels/device/launch.h"

namespace assay::ASSAY_TWIN::attnres_merge_fwd_naive {

using namespace attnres_merge_fwd;

constexpr int kThreads = 256;

// P += U; one block per row.
template <class T>
ASSAY_KERNEL(kThreads)
void update(Arguments<T> a) {
  for (std::int64_t t = block_index(); t < a.tokens; t += num_blocks()) {
    for_each_part<kVectorSize<T>>(a.aligned, 0, a.dim, [&]<int kCount>(int d, Count<kCount>) {
      float x[kCount];
      update_part(a, t * a.dim + d, x);
    });
  }
}

// r (T) = 1 / sqrt(mean P² + eps); one block per row.
template <class T>
ASSAY_KERNEL(kThreads)
void rstd(Arguments<T> a, float* r) {
  for (std::int64_t t = block_index(); t < a.tokens; t += num_blocks()) {
    float squares = 0;
    for_each_part<kVectorSize<T>>(a.aligned, 0, a.dim, [&]<int kCount>(int d, Count<kCount>) {
      float x[kCount];
      load_part(a.p, t * a.dim + d, x);
      ASSAY_UNROLL
      for (int j = 0; j < kCount; ++j) squares += x[j] * x[j];
    });
    squares = block_sum(squares);
    if (thread_index() == 0) {
      r[t] = reciprocal_sqrt(squares / static_cast<float>(a.dim) + a.eps);
    }
  }
}

// l (T) = r Σ_d c P, c = w⊙g; one block per row.
template <class T>
ASSAY_KERNEL(kThreads)
void logits(Arguments<T> a, const float* r, float* l) {
  for (std::int64_t t = block_index(); t < a.tokens; t += num_blocks()) {
    float dot = 0;
    for_each_part<kVectorSize<T>>(a.aligned, 0, a.dim, [&]<int kCount>(int d, Count<kCount>) {
      float x[kCount], c[kCount];
      load_part(a.p, t * a.dim + d, x);
      load_weights(a.w, a.g, d, c);
      ASSAY_UNROLL
      for (int j = 0; j < kCount; ++j) dot += c[j] * x[j];
    });
    dot = block_sum(dot);
    if (thread_index() == 0) l[t] = r[t] * dot;
  }
}

// l (T) becomes β; LSE (T); one thread per token.
template <class T>
ASSAY_KERNEL(kThreads)
void weights(Arguments<T> a, float* l) {
  const std::int64_t step = static_cast<std::int64_t>(num_blocks()) * num_threads();
  std::int64_t t = static_cast<std::int64_t>(block_index()) * num_threads() + thread_index();
  for (; t < a.tokens; t += step) {
    const Weights both = weigh(l[t], a.l1.load(t));
    l[t] = both.beta;
    a.lse.store(t, both.lse);
  }
}

// H (T, D) = O1 + β (P - O1); one block per row.
template <class T>
ASSAY_KERNEL(kThreads)
void merge(Arguments<T> a, const float* beta) {
  for (std::int64_t t = block_index(); t < a.tokens; t += num_blocks()) {
    for_each_part<kVectorSize<T>>(a.aligned, 0, a.dim, [&]<int kCount>(int d, Count<kCount>) {
      float x[kCount], o1[kCount], h[kCount];
      load_part(a.p, t * a.dim + d, x);
      load_part(a.o1, t * a.dim + d, o1);
      mix(beta[t], x, o1, h);
      store_part(a.h, t * a.dim + d, h);
    });
  }
}

namespace {

// Workspace: l or β, then r, both (T) in fp32.
template <class T>
Launch prepare(const Problem& p, const Buffers& buffers) {
  const Arguments<T> a = arguments<T>(p, buffers);
  float* l = static_cast<float*>(buffers.workspace);
  float* r = l + a.tokens;
  const auto grid = [](std::int64_t blocks, Stream stream) {
    constexpr std::int64_t kMostBlocks = std::int64_t{1} << 30;  // the kernels loop over the rest
    return LaunchConfig{
        .blocks = std::min(blocks, kMostBlocks), .threads = kThreads, .stream = stream};
  };
  return [=](Stream stream) {
    if (a.u.data != nullptr) launch(update<T>, grid(a.tokens, stream), a);
    launch(rstd<T>, grid(a.tokens, stream), a, r);
    launch(logits<T>, grid(a.tokens, stream), a, r, l);
    launch(weights<T>, grid(ceil_div(a.tokens, kThreads), stream), a, l);
    launch(merge<T>, grid(a.tokens, stream), a, l);
  };
}

}  // namespace

ASSAY_VARIANT(naive){
    .op = "attnres_merge_fwd",
    .name = "naive",
    .summary = "one kernel per step: update, rstd, logits, weights, merge",
    .backend = kTwinBackend,
    .arch = {.min = 80},
    .repeatability = Repeatability::batch_invariant,
    .numerics =
        [](const Problem& p) {
          return Numerics{.summation_height =
                              block_sum_height(p.dim("D"), p.dtype_of("P"), kThreads)};
        },
    .unsupported = too_large,
    .workspace = [](const Problem& p) { return Workspace{8 * p.dim("T")}; },
    .prepare =
        [](const Problem& p, const Buffers& buffers) {
          return dispatch(p.dtype_of("P"),
                          [&]<class T>(std::type_identity<T>) { return prepare<T>(p, buffers); });
        },
};

}  // namespace assay::ASSAY_TWIN::attnres_merge_fwd_naive
