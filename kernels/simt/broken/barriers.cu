// Missing barriers. Where a thread that runs first reads what another is to write, that is an
// uninitialised read.
#include "kernels/simt/broken/broken.h"

namespace assay::simt::broken {

// No barrier between writing and another thread's read.
ASSAY_BROKEN(no_barrier_before_read, "", "race", "") {
  ASSAY_SHARED(values, [kThreads], float);
  for (int round = 0; round < 2; ++round) {  // the second: no byte is uninitialised
    values[thread_index()] = in[thread_index()] + static_cast<float>(round);
    if (round == 0) sync_threads();
    out[thread_index()] = values[kThreads - 1 - thread_index()];
    if (round == 0) sync_threads();
  }
}

// No barrier between reading and the next writing.
ASSAY_BROKEN(no_barrier_before_refill, "", "race", "") {
  ASSAY_SHARED(values, [kThreads], float);
  for (int round = 0; round < 3; ++round) {
    values[thread_index()] = in[thread_index()];
    sync_threads();
    out[thread_index()] = values[(thread_index() + 32) % kThreads];
  }
}

// Copies are waited for, but each thread by itself only.
ASSAY_BROKEN(no_barrier_after_wait, "", "uninitialised", "") {
  ASSAY_SHARED(values, [kThreads], Vector);
  copy_async16(&values[thread_index()], in + 4 * thread_index(), true);
  commit_async();
  wait_async<0>();
  float x[4];
  load_elements(reinterpret_cast<const float*>(&values[(thread_index() + 1) % kThreads]), x);
  store_elements(out + 4 * thread_index(), x);
}

// One thread's result is read by all without a barrier.
ASSAY_BROKEN(broadcast_without_barrier, "", "race", "") {
  ASSAY_SHARED(total, [1], float);
  for (int round = 0; round < 2; ++round) {
    if (thread_index() == 0) total[0] = in[round];
    if (round == 0) sync_threads();
    out[thread_index()] = total[0];
    if (round == 0) sync_threads();
  }
}

// Lanes talk through memory without sync_warp.
ASSAY_BROKEN(no_sync_warp, "", "race", "") {
  ASSAY_SHARED(values, [kThreads], float);
  values[thread_index()] = in[thread_index()];
  sync_threads();
  values[thread_index()] += 1;
  out[thread_index()] = values[thread_index() ^ 1];
}

// A shuffle orders no memory.
ASSAY_BROKEN(shuffle_is_no_barrier, "", "race", "") {
  ASSAY_SHARED(values, [kThreads], float);
  values[thread_index()] = in[thread_index()];
  const float x = shuffle_xor(in[thread_index()], 1);
  out[thread_index()] = values[thread_index() ^ 1] + x;
}

// A named barrier of two warps does not order the other two.
ASSAY_BROKEN(named_barrier_of_too_few, "", "uninitialised", "") {
  ASSAY_SHARED(values, [kThreads], float);
  values[thread_index()] = in[thread_index()];
  sync_named(1 + warp_index() / 2, 64);
  out[thread_index()] = values[(thread_index() + 64) % kThreads];
}

// Two threads write the same element of the output.
ASSAY_BROKEN(two_writers, "", "race", "") { out[thread_index() / 2] = in[thread_index()]; }

// What one thread writes to global memory, another reads.
ASSAY_BROKEN(global_without_barrier, "", "uninitialised", "") {
  out[thread_index()] = in[thread_index()];
  out[kThreads + thread_index()] = out[(thread_index() + 1) % kThreads];
}

// A counter without an atomic addition.
ASSAY_BROKEN(plain_counter, "", "race", "") {
  ASSAY_SHARED(count, [1], int);
  if (thread_index() == 0) count[0] = 0;
  sync_threads();
  count[0] += 1;
  sync_threads();
  out[thread_index()] = static_cast<float>(count[0]);
}

}  // namespace assay::simt::broken
