// Clusters: blocks that run at the same time, side by side, and can store into each other's shared
// memory (sm_90). A launch has clusters of LaunchConfig::cluster consecutive blocks.
#pragma once

#include <cstdint>

#include "kernels/device/block.h"
#include "kernels/device/math.h"
#include "kernels/device/mbarrier.h"

namespace assay::ASSAY_TWIN {

// This block's place in its cluster, and the cluster's in the grid.
ASSAY_DEVICE int cluster_rank() {
#if ASSAY_SIMT
  return executor::position().block % executor::position().cluster;
#else
  int rank;
  asm("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  return rank;
#endif
}
ASSAY_DEVICE int cluster_index() {
#if ASSAY_SIMT
  return executor::position().block / executor::position().cluster;
#else
  int index;
  asm("mov.u32 %0, %%clusterid.x;" : "=r"(index));
  return index;
#endif
}

// The two halves of a barrier of all threads of the cluster. They order no memory, which would take
// a fence of the whole device; mbarriers alone, if mbarrier_fence follows their initialisation, may
// be used by other blocks after cluster_wait.
ASSAY_DEVICE void cluster_arrive() {
#if ASSAY_SIMT
  executor::cluster_arrive();
#else
  asm volatile("barrier.cluster.arrive.relaxed.aligned;" ::: "memory");
#endif
}
ASSAY_DEVICE void cluster_wait() {
#if ASSAY_SIMT
  executor::cluster_wait();
#else
  asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory");
#endif
}

// Starts a store of `value` to where `shared` is, but in block `rank` of the cluster; 4 bytes for
// the mbarrier that is there where `barrier` is here. That block must not have left. Only in
// launches of clusters of more than one block: in others it is an illegal instruction.
ASSAY_DEVICE void cluster_store(float* shared, int rank, float value, std::uint64_t* barrier) {
#if ASSAY_SIMT
  executor::cluster_store(shared, rank, value, barrier);
#else
  unsigned to, report;
  asm("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(to) : "r"(shared_address(shared)), "r"(rank));
  asm("mapa.shared::cluster.u32 %0, %1, %2;"
      : "=r"(report)
      : "r"(shared_address(barrier)), "r"(rank));
  asm volatile(
      "st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.b32 [%0], %1, [%2];" ::"r"(to),
      "r"(as_bits(value)), "r"(report)
      : "memory");
#endif
}

// mbarrier_wait for a phase that counts bytes of cluster_store.
ASSAY_DEVICE void mbarrier_wait_cluster(std::uint64_t* barrier, int parity) {
#if ASSAY_SIMT
  executor::mbarrier_wait(barrier, parity);
#else
  unsigned done;
  do {
    asm volatile(
        "{ .reg .pred p; mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 p, [%1], %2; "
        "selp.u32 %0, 1, 0, p; }"
        : "=r"(done)
        : "r"(shared_address(barrier)), "r"(parity)
        : "memory");
  } while (done == 0);
#endif
}

}  // namespace assay::ASSAY_TWIN
