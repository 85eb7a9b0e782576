// Blocks of a cluster that take each other's sums too early, or too late.
#include "kernels/device/cluster.h"
#include "kernels/simt/broken/broken.h"

namespace assay::simt::broken {

namespace {

// Two blocks; each thread of one stores where the other has its number's place.
struct Inbox {
  float* values;
  std::uint64_t* barrier;

  ASSAY_DEVICE void open() const {
    if (thread_index() == 0) {
      mbarrier_init(barrier, 1);
      mbarrier_fence();
      expect();
    }
    sync_threads();
    cluster_arrive();
    cluster_wait();
  }
  ASSAY_DEVICE void expect() const {
    mbarrier_arrive_expect(barrier, kThreads * static_cast<int>(sizeof(float)));
  }
  ASSAY_DEVICE void send(float value) const {
    cluster_store(&values[thread_index()], 1 - cluster_rank(), value, barrier);
  }
};

}  // namespace

#define ASSAY_BROKEN_CLUSTER(name, plain, race, address)                       \
  ASSAY_KERNEL(kThreads) void name(const float* in, float* out);               \
  static const RegisterBroken register_##name(                                 \
      {#name, plain, race, address, [](const float* i, float* o) {             \
         launch(name, {.blocks = 2, .threads = kThreads, .cluster = 2}, i, o); \
       }});                                                                    \
  void name([[maybe_unused]] const float* in, [[maybe_unused]] float* out)

// The sums are read while they may still be on their way.
ASSAY_BROKEN_CLUSTER(inbox_read_too_early, "", "uninitialised", "") {
  ASSAY_SHARED(values, [kThreads], float);
  ASSAY_SHARED(barrier, [1], std::uint64_t);
  const Inbox inbox = {&values[0], &barrier[0]};
  inbox.open();
  inbox.send(in[thread_index()]);
  out[block_index() * kThreads + thread_index()] = values[thread_index()];
  mbarrier_wait_cluster(&barrier[0], 0);
}

// The next sums come while those before may still be read.
ASSAY_BROKEN_CLUSTER(inbox_refilled_too_early, "", "race", "") {
  ASSAY_SHARED(values, [kThreads], float);
  ASSAY_SHARED(barrier, [1], std::uint64_t);
  const Inbox inbox = {&values[0], &barrier[0]};
  inbox.open();
  for (int round = 0; round < 3; ++round) {
    inbox.send(in[thread_index()]);
    mbarrier_wait_cluster(&barrier[0], round % 2);
    if (thread_index() == 0 && round < 2) inbox.expect();
    out[block_index() * kThreads + thread_index()] = values[thread_index()];
  }
}

// The other block does not wait for what it is sent, which comes long after it has left.
ASSAY_BROKEN_CLUSTER(sent_to_who_has_left, "out_of_bounds", "out_of_bounds", "out_of_bounds") {
  ASSAY_SHARED(values, [kThreads], float);
  ASSAY_SHARED(barrier, [1], std::uint64_t);
  const Inbox inbox = {&values[0], &barrier[0]};
  inbox.open();
  if (cluster_rank() == 1) return;
  for (int i = 0; i < 2000; ++i) sync_threads();
  inbox.send(in[thread_index()]);
}

}  // namespace assay::simt::broken
