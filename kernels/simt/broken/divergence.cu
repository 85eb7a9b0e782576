// Threads that never meet.
#include "kernels/simt/broken/broken.h"

namespace assay::simt::broken {

ASSAY_BROKEN(barrier_under_a_branch, "divergence", "divergence", "divergence") {
  if (thread_index() < 100) sync_threads();
}
ASSAY_BROKEN(two_barriers, "divergence", "divergence", "divergence") {
  if (warp_index() < 2) {
    out[thread_index()] = 1;
    sync_threads();
  } else {
    sync_threads();
    out[thread_index()] = 2;
  }
}
ASSAY_BROKEN(early_exit, "divergence", "divergence", "divergence") {
  if (thread_index() == kThreads - 1) return;
  out[thread_index()] = warp_sum(in[thread_index()]);
}
ASSAY_BROKEN(full_mask_under_a_branch, "divergence", "divergence", "divergence") {
  if (lane_index() < 16) out[thread_index()] = shuffle_xor(in[thread_index()], 1);
}
ASSAY_BROKEN(mismatched_collectives, "divergence", "divergence", "divergence") {
  if (lane_index() < 16) {
    out[thread_index()] = shuffle_xor(in[thread_index()], 1);
  } else {
    out[thread_index()] = vote_any(in[thread_index()] > 0) ? 1.0f : 0.0f;
  }
}
ASSAY_BROKEN(overlapping_masks, "divergence", "divergence", "divergence") {
  out[thread_index()] =
      shuffle(in[thread_index()], 16, lane_index() < 16 ? 0x0001ffffu : 0xffff0000u);
}
ASSAY_BROKEN(not_in_its_own_mask, "divergence", "divergence", "divergence") {
  out[thread_index()] = shuffle(in[thread_index()], 0, 0x7fffffffu);
}
ASSAY_BROKEN(named_barrier_lacks_a_warp, "divergence", "divergence", "divergence") {
  if (warp_index() < 2) sync_named(3, 96);
}
ASSAY_BROKEN(barrier_against_shuffle, "divergence", "divergence", "divergence") {
  if (warp_index() == 0 && lane_index() == 0) {
    sync_threads();
  } else {
    out[thread_index()] = warp_index() == 0 ? shuffle(1.0f, 0) : 0;
  }
}
// Waits for a flag that nobody sets.
ASSAY_BROKEN(spins_forever, "hang", "hang", "hang") {
  ASSAY_SHARED(flag, [1], unsigned);
  if (thread_index() == 0) flag[0] = 0;
  sync_threads();
  if (warp_index() == 1) {
    while (load_acquire(&flag[0]) == 0) {
    }
  }
}
// The same without ever giving another thread its turn.
ASSAY_BROKEN(spins_without_a_pause, "hang", "hang", "hang") {
  volatile const float* flag = in;
  while (flag[0] < 1e30f) {
  }
}
ASSAY_BROKEN(too_much_shared, "refused", "refused", "refused") {
  ASSAY_SHARED(large, [49 * 1024], char);
  large[thread_index()] = 0;
}

}  // namespace assay::simt::broken
