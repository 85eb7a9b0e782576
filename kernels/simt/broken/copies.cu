// Asynchronous copies that are not waited for as they must be.
#include "kernels/simt/broken/broken.h"

namespace assay::simt::broken {

// Waits until at most one group is under way: the one it needs.
ASSAY_BROKEN(wrong_wait_count, "", "race", "race") {
  Vector* stages = dyn_shared<Vector>();
  copy_async16(&stages[thread_index()], in + 4 * thread_index(), true);
  commit_async();
  wait_async<1>();
  float x[4];
  load_elements(reinterpret_cast<const float*>(&stages[thread_index()]), x);
  store_elements(out + 4 * thread_index(), x);
}

// Refills a stage that is still being filled.
ASSAY_BROKEN(copy_over_copy, "", "race", "race") {
  Vector* stages = dyn_shared<Vector>();
  for (int i = 0; i < 2; ++i) {
    copy_async16(&stages[thread_index()], in + 4 * thread_index(), true);
    commit_async();
  }
  wait_async<0>();
  float x[4];
  load_elements(reinterpret_cast<const float*>(&stages[thread_index()]), x);
  store_elements(out + 4 * thread_index(), x);
}

// A bulk copy of all of `in`, announced as `bytes` bytes; everyone waits for `parity`.
ASSAY_DEVICE void bulk(const float* in, float* out, int bytes, int parity, int arrivals,
                       bool ordered) {
  ASSAY_SHARED(barrier, [1], std::uint64_t);
  ASSAY_SHARED(values, [kThreads * 4], float);
  if (thread_index() == 0) mbarrier_init(&barrier[0], arrivals);
  if (ordered) {
    mbarrier_fence();
    sync_threads();
  }
  if (thread_index() == 0) {
    mbarrier_arrive_expect(&barrier[0], bytes);
    copy_bulk(values, in, sizeof values, &barrier[0]);
  }
  if (parity >= 0) mbarrier_wait(&barrier[0], parity);
  out[thread_index()] = values[thread_index()];
}

ASSAY_BROKEN(wrong_parity, "", "race", "race") { bulk(in, out, kThreads * 16, 1, 1, true); }
ASSAY_BROKEN(no_wait_for_bulk_copy, "", "race", "race") {
  bulk(in, out, kThreads * 16, -1, 1, true);
}
ASSAY_BROKEN(too_many_bytes_announced, "divergence", "divergence", "divergence") {
  bulk(in, out, kThreads * 16 + 16, 0, 1, true);
}
ASSAY_BROKEN(too_few_bytes_announced, "divergence", "divergence", "divergence") {
  bulk(in, out, kThreads * 16 - 16, 0, 1, true);
}
ASSAY_BROKEN(too_few_arrivals, "divergence", "divergence", "divergence") {
  bulk(in, out, kThreads * 16, 0, 2, true);
}
ASSAY_BROKEN(barrier_used_before_init_is_ordered, "uninitialised", "uninitialised",
             "uninitialised") {
  ASSAY_SHARED(barrier, [1], std::uint64_t);
  if (warp_index() == 0) mbarrier_wait(&barrier[0], 1);
  if (thread_index() == 64) mbarrier_init(&barrier[0], 1);
}

// A consumer frees the stage before it has read it.
ASSAY_BROKEN(stage_freed_too_early, "", "race", "") {
  ASSAY_SHARED(full, [1], std::uint64_t);
  ASSAY_SHARED(empty, [1], std::uint64_t);
  ASSAY_SHARED(values, [kThreads * 4], float);
  if (thread_index() == 0) {
    mbarrier_init(&full[0], 1);
    mbarrier_init(&empty[0], kThreads - kWarpSize);
    mbarrier_fence();
  }
  sync_threads();
  for (int round = 0; round < 3; ++round) {
    if (thread_index() == 0) {
      mbarrier_wait(&empty[0], (round & 1) ^ 1);
      mbarrier_arrive_expect(&full[0], sizeof values);
      copy_bulk(values, in, sizeof values, &full[0]);
    } else if (warp_index() > 0) {
      mbarrier_wait(&full[0], round & 1);
      mbarrier_arrive(&empty[0]);
      out[thread_index()] = values[thread_index()];
    }
  }
}

}  // namespace assay::simt::broken
