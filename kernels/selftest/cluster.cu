// Blocks of a cluster: who they are, and that each has what the others stored into it.
#include "kernels/device/cluster.h"
#include "kernels/device/sm90.h"
#include "kernels/selftest/check.h"

namespace assay::ASSAY_TWIN::selftest {

namespace {
constexpr int kBlocks = 4, kClusters = 3;
}  // namespace

// Lane i of block r stores its input where block i % kBlocks has place (r, i); then every block
// writes down all that it was given.
ASSAY_KERNEL(kWarpSize) void cluster_exchange(const Word* in, Word* out) {
#if ASSAY_HAS_SM90
  ASSAY_SHARED(given, [kBlocks][kWarpSize], float);
  ASSAY_SHARED(all, [1], std::uint64_t);
  const int lane = lane_index(), rank = cluster_rank();
  if (lane == 0) {
    mbarrier_init(&all[0], 1);
    mbarrier_fence();
    mbarrier_arrive_expect(&all[0], kWarpSize * static_cast<int>(sizeof(float)));
  }
  cluster_arrive();
  const float mine = as_float(in[block_index() * kWarpSize + lane]);
  cluster_wait();
  cluster_store(&given[rank][lane], lane % kBlocks, mine, &all[0]);
  sync_warp();
  mbarrier_wait_cluster(&all[0], 0);
  const int first = (cluster_index() * kBlocks + rank) * kWarpSize;
  for (int i = lane; i < kBlocks * kWarpSize; i += kWarpSize) {
    const int from = i / kWarpSize, place = i % kWarpSize;
    if (place % kBlocks == rank)
      out[first + from * kWarpSize / kBlocks + place / kBlocks] = as_bits(given[from][place]);
  }
#endif
}
ASSAY_CHECK(cluster_exchange){
    .name = "cluster/cluster_store",
    .covers = {"cluster_rank", "cluster_index", "cluster_arrive", "cluster_wait", "cluster_store",
               "mbarrier_wait_cluster"},
    .arch = {.min = 90},
    .kernel = cluster_exchange,
    .blocks = kClusters * kBlocks,
    .cluster = kBlocks,
    .inputs = kClusters * kBlocks * kWarpSize,
    .outputs = kClusters * kBlocks * kWarpSize,
    .prepare =
        [](Words& in) {
          for (std::size_t i = 0; i < in.size(); ++i) in[i] = bits_of(static_cast<float>(i));
        },
    .expect =
        [](const Words& in, Expectation& want) {
          for (std::size_t i = 0; i < in.size(); ++i) {
            const std::size_t cluster = i / (kBlocks * kWarpSize), rank = i / kWarpSize % kBlocks;
            const std::size_t from = i % kWarpSize / (kWarpSize / kBlocks);
            const std::size_t place = i % (kWarpSize / kBlocks) * kBlocks + rank;
            want.bits(i, in[(cluster * kBlocks + from) * kWarpSize + place]);
          }
        }};

}  // namespace assay::ASSAY_TWIN::selftest
