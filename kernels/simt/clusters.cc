// Clusters: a barrier of several blocks, and stores into the shared memory of others, which go by
// mail: each block takes its own between the turns of its threads. The mail is checked as a copy by
// the thread that announced its bytes, and orders nothing but what lies in shared memory.
#include <cstring>
#include <string>

#include "kernels/simt/block.h"
#include "kernels/simt/finding.h"
#include "kernels/simt/launch.h"

namespace assay::executor {

namespace {
// Of the one letter in the box of a block that has left.
constexpr std::uint32_t kNowhere = ~0U;
}  // namespace

Cluster* Block::cluster() const {
  if (launch_->clusters.empty()) return nullptr;
  return &launch_->clusters[static_cast<std::size_t>(index_ / launch_->shape.cluster)];
}

int Block::rank() const { return static_cast<int>(index_ % launch_->shape.cluster); }

void Block::take_mail() {
  std::vector<Mail> mail;
  {
    Cluster& all = *cluster();
    const std::scoped_lock lock(all.mutex);
    std::swap(mail, all.mail[static_cast<std::size_t>(rank())]);
  }
  for (const Mail& letter : mail) deliver(letter);
}

// What is still on its way, or sent from now on, would land in the memory of whoever comes next.
void Block::leave_cluster() {
  const void* place = nullptr;
  {
    Cluster& all = *cluster();
    const std::scoped_lock lock(all.mutex);
    std::vector<Mail>& mail = all.mail[static_cast<std::size_t>(rank())];
    if (!mail.empty()) place = mail.front().place;
    mail = {{.to = kNowhere, .barrier = kNowhere, .value = 0, .place = nullptr}};
  }
  if (place != nullptr) {
    fail("out_of_bounds", "cluster_store at " + executor::place(place) + " to block " +
                              std::to_string(index_) + ", which has left before it arrived");
  }
}

void Block::deliver(const Mail& letter) {
  auto* const to = reinterpret_cast<float*>(arena_.at(letter.to));
  const auto found = mbarriers.find(reinterpret_cast<std::uint64_t*>(arena_.at(letter.barrier)));
  if (found == mbarriers.end() || arena_.slot_at(letter.to) == nullptr) {
    return launch_->report("uninitialised", "cluster_store at " + executor::place(letter.place) +
                                                " to block " + std::to_string(index_) +
                                                ", which has no such variable or mbarrier yet");
  }
  MBarrier& barrier = found->second;
  race::copy_begins(thread(barrier.announcer), to, sizeof *to, letter.place);
  *to = letter.value;
  race::copy_ends(*this, nullptr, to, sizeof *to);
  barrier.bytes -= static_cast<std::int64_t>(sizeof *to);
  barrier.landed += static_cast<std::int64_t>(sizeof *to);
  race::release_copies(*this, barrier.arriving);
  complete_phase(barrier);
}

__attribute__((noinline)) void cluster_arrive() {
  Thread& self = *current;
  Block& block = *self.block;
  ++self.rounds;
  block.progress().step();
  if (Cluster* const cluster = block.cluster()) ++cluster->arrived;
}

__attribute__((noinline)) void cluster_wait() {
  const void* place = __builtin_return_address(0);
  Thread& self = *current;
  Block& block = *self.block;
  const Cluster* const cluster = block.cluster();
  if (cluster == nullptr) return block.arrive(0, block.threads(), true, "cluster_wait", place);
  const std::int64_t all = self.rounds * block.launch().shape.cluster * block.threads();
  while (cluster->arrived < all) block.suspend(State::polling, "cluster_wait", place);
}

__attribute__((noinline)) void cluster_store(float* shared, int rank, float value,
                                             std::uint64_t* barrier) {
  const void* place = __builtin_return_address(0);
  Thread& self = *current;
  Block& block = *self.block;
  Cluster* const cluster = block.cluster();
  if (cluster == nullptr) {  // on a device an illegal instruction
    block.fail("refused", "cluster_store by " + block.thread_name(self.index()) + " at " +
                              executor::place(place) + " in a launch without clusters");
  }
  const Arena& arena = block.arena();
  const std::int64_t blocks = block.launch().shape.cluster;
  if (!arena.holds(shared) || !arena.holds(barrier) || rank < 0 || rank >= blocks) {
    block.fail("out_of_bounds", "cluster_store by " + block.thread_name(self.index()) + " at " +
                                    executor::place(place) + " to block " + std::to_string(rank) +
                                    " of " + std::to_string(blocks) +
                                    " takes a place and an mbarrier in shared memory");
  }
  const Mail letter = {arena.offset(shared), arena.offset(barrier), value, place};
  {
    const std::scoped_lock lock(cluster->mutex);
    std::vector<Mail>& mail = cluster->mail[static_cast<std::size_t>(rank)];
    if (mail.empty() || mail.back().to != kNowhere) return mail.push_back(letter);
  }
  block.fail("out_of_bounds", "cluster_store by " + block.thread_name(self.index()) + " at " +
                                  executor::place(place) + " to block " + std::to_string(rank) +
                                  " of its cluster, which has left");
}

}  // namespace assay::executor
