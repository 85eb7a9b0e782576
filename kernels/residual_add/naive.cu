// residual_add/naive: one pass; a block takes chunks of a row that lie side by side.
#include "harness/core/variant.h"
#include "kernels/device/launch.h"
#include "kernels/device/rows.h"

namespace assay::ASSAY_TWIN::residual_add_naive {

constexpr int kThreads = 256;

struct Arguments {
  AnyInput p, u;  // absent: zeros
  AnyOutput r;
  std::int64_t elements;  // of each
  bool aligned;           // vectors may be used
};

// T: of R.
template <class T>
ASSAY_KERNEL(kThreads)
void add(Arguments a) {
  constexpr int kChunk = 1 << 12;  // elements, a multiple of every vector
  const std::int64_t chunks = (a.elements + kChunk - 1) / kChunk;
  for (std::int64_t chunk = block_index(); chunk < chunks; chunk += num_blocks()) {
    const std::int64_t begin = chunk * kChunk;
    const std::int64_t left = a.elements - begin;
    const int count = left < kChunk ? static_cast<int>(left) : kChunk;
    for_each_part<kVectorSize<T>>(a.aligned, 0, count, [&]<int kCount>(int i, Count<kCount>) {
      float x[kCount] = {}, y[kCount] = {};
      if (a.p.present()) load_part(a.p, begin + i, x);
      if (a.u.present()) load_part(a.u, begin + i, y);
      ASSAY_UNROLL
      for (int j = 0; j < kCount; ++j) x[j] = rounded_sum<T>(x[j], y[j]);
      store_part(a.r, begin + i, x);
    });
  }
}

namespace {

template <class T>
Launch prepare(const Problem& p, const Buffers& buffers) {
  Arguments a = {};
  a.p = input(buffers, "P");
  a.u = input(buffers, "U");
  a.r = output(buffers, "R");
  a.elements = p.dim("T") * p.dim("D");
  a.aligned = a.elements % kVectorSize<T> == 0;
  for (const void* data : {a.p.data, a.u.data, static_cast<const void*>(a.r.data)})
    a.aligned = a.aligned && is_vector_aligned(data);
  return [a](Stream stream) {
    constexpr std::int64_t kMostBlocks = 132 * 8;  // the kernel loops over the rest
    const std::int64_t blocks = std::min(ceil_div(a.elements, 1 << 12), kMostBlocks);
    launch(add<T>, LaunchConfig{.blocks = blocks, .threads = kThreads, .stream = stream}, a);
  };
}

}  // namespace

ASSAY_VARIANT(naive){
    .op = "residual_add",
    .name = "naive",
    .summary = "one pass",
    .backend = kTwinBackend,
    .arch = {.min = 80},
    .repeatability = Repeatability::batch_invariant,
    .numerics = [](const Problem&) { return Numerics{}; },
    .prepare =
        [](const Problem& p, const Buffers& buffers) {
          return dispatch(p.dtype_of("R"),
                          [&]<class T>(std::type_identity<T>) { return prepare<T>(p, buffers); });
        },
};

}  // namespace assay::ASSAY_TWIN::residual_add_naive
