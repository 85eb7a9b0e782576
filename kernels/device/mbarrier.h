// mbarriers, which count arrivals and bytes phase by phase, and bulk copies into shared memory that
// report to them (sm_90). A barrier is 8 bytes of shared memory. Its phases are complete by turns
// with parity 0, 1, 0, …; of a fresh one, parity 1 counts as complete.
#pragma once

#include <cstdint>

#include "kernels/device/twin.h"

namespace assay::ASSAY_TWIN {

#if !ASSAY_SIMT
ASSAY_DEVICE unsigned shared_address(const void* shared) {
  return static_cast<unsigned>(__cvta_generic_to_shared(shared));
}
#endif

// By one thread, before any use: each phase takes `arrivals` arrivals. mbarrier_fence and a barrier
// of the block must follow.
ASSAY_DEVICE void mbarrier_init(std::uint64_t* barrier, int arrivals) {
#if ASSAY_SIMT
  executor::mbarrier_init(barrier, arrivals);
#else
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(barrier)),
               "r"(arrivals)
               : "memory");
#endif
}

// Makes initialisations visible to asynchronous copies.
ASSAY_DEVICE void mbarrier_fence() {
#if !ASSAY_SIMT
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
#endif
}

// One arrival; what the thread did before is visible to those who wait for the phase.
ASSAY_DEVICE void mbarrier_arrive(std::uint64_t* barrier) {
#if ASSAY_SIMT
  executor::mbarrier_arrive(barrier, 0, false);
#else
  asm volatile("{ .reg .b64 state; mbarrier.arrive.shared::cta.b64 state, [%0]; }" ::"r"(
                   shared_address(barrier))
               : "memory");
#endif
}

// One arrival, which announces that `bytes` bytes of bulk copies belong to the phase.
ASSAY_DEVICE void mbarrier_arrive_expect(std::uint64_t* barrier, int bytes) {
#if ASSAY_SIMT
  executor::mbarrier_arrive(barrier, bytes, true);
#else
  asm volatile(
      "{ .reg .b64 state; mbarrier.arrive.expect_tx.shared::cta.b64 state, [%0], %1; }" ::"r"(
          shared_address(barrier)),
      "r"(bytes)
      : "memory");
#endif
}

// Whether the phase with that parity is complete.
ASSAY_DEVICE bool mbarrier_test(std::uint64_t* barrier, int parity) {
#if ASSAY_SIMT
  return executor::mbarrier_test(barrier, parity);
#else
  unsigned done;
  asm volatile(
      "{ .reg .pred p; mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2; selp.u32 %0, 1, 0, p; "
      "}"
      : "=r"(done)
      : "r"(shared_address(barrier)), "r"(parity)
      : "memory");
  return done != 0;
#endif
}

// Waits until it is.
ASSAY_DEVICE void mbarrier_wait(std::uint64_t* barrier, int parity) {
#if ASSAY_SIMT
  executor::mbarrier_wait(barrier, parity);
#else
  while (!mbarrier_test(barrier, parity)) {
  }
#endif
}

// Starts a copy of `bytes` bytes (a multiple of 16, both addresses aligned to 16) from global to
// shared memory, by one thread; the barrier learns of its bytes.
ASSAY_DEVICE void copy_bulk(void* shared, const void* global, int bytes, std::uint64_t* barrier) {
#if ASSAY_SIMT
  executor::copy_bulk(shared, global, bytes, barrier);
#else
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::
          "r"(shared_address(shared)),
      "l"(global), "r"(bytes), "r"(shared_address(barrier))
      : "memory");
#endif
}

}  // namespace assay::ASSAY_TWIN
