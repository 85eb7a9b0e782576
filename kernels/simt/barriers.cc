// Barriers and warp collectives. Threads that never meet are a finding, not a hang: another place,
// another operation, an exited lane.
#include <algorithm>
#include <bit>
#include <cstdio>

#include "kernels/simt/block.h"
#include "kernels/simt/finding.h"
#include "kernels/simt/launch.h"

namespace assay::executor {
namespace {

void trace(const Block& block, const char* operation, const std::string& who, const void* place) {
  std::fprintf(stderr, "block %d %s: %s at %s\n", block.index(), who.c_str(), operation,
               executor::place(place).c_str());
}

}  // namespace

void Block::arrive(int id, int threads, bool waits, const char* operation, const void* place) {
  Thread& self = *current;
  BlockBarrier& barrier = barriers_[id];
  if (barrier.arrived == 0) {
    barrier.expected = threads;
    barrier.place = place;
    barrier.first = self.index();
  } else if (id == 0 && !may_be_same_place(barrier.place, place)) {
    self.operation = operation, self.place = place, self.state = State::waiting;
    fail("divergence",
         "threads of block " + std::to_string(index_) + " meet in two different barriers: thread " +
             std::to_string(barrier.first) + " waits at " + executor::place(barrier.place) +
             ", thread " + std::to_string(self.index()) + " at " + executor::place(place));
  } else if (barrier.expected != threads) {
    fail("divergence", "barrier " + std::to_string(id) + " is used for " +
                           std::to_string(barrier.expected) + " threads at " +
                           executor::place(barrier.place) + " and for " + std::to_string(threads) +
                           " at " + executor::place(place));
  }
  if (id == 0 && left_ < threads_) {
    fail("divergence", thread_name(self.index()) + " waits in sync_threads at " +
                           executor::place(place) + ", but " + std::to_string(threads_ - left_) +
                           " threads of the block have returned:\n" + whereabouts());
  }
  ++barrier.arrived;
  if (id != 0) race::release(self, barrier.knowledge);
  if (barrier.arrived < barrier.expected) {
    if (!waits) return;
    barrier.waiting.push_back(self.index());
    return suspend(State::waiting, operation, place);
  }

  // The round is complete.
  progress_->step();
  if (launch_->trace == index_) {
    trace(*this, operation, std::to_string(barrier.arrived) + " threads", place);
  }
  if (id == 0) {
    race::sync_all(*this);
  } else {
    for (const int index : barrier.waiting) race::acquire(thread(index), barrier.knowledge);
    if (waits) race::acquire(self, barrier.knowledge);
    barrier.knowledge = {};
  }
  for (const int index : barrier.waiting) wake(index);
  barrier.waiting.clear();
  barrier.arrived = 0;
  if (waits) suspend(State::ready, operation, place);
}

void Block::converge(unsigned mask, const char* operation, void* slot, Compute compute,
                     bool orders_memory, const void* place) {
  Thread& self = *current;
  const int lane = self.index() % kWarp, first = self.index() - lane;
  const auto describe = [&](const char* what, unsigned lanes, const void* where) {
    char text[32];
    std::snprintf(text, sizeof text, " with mask 0x%08x", lanes);
    return what + std::string(text) + " at " + executor::place(where);
  };
  // Lanes beyond the end of the block are as good as returned, and no mask waits for them.
  const int present = threads_ - first;
  if (present < kWarp) mask &= (1u << present) - 1;
  if (!(mask >> lane & 1u)) {
    fail("divergence", thread_name(self.index()) + " is not in the mask of its own " +
                           describe(operation, mask, place));
  }
  std::vector<Rendezvous>& pending = warps_[static_cast<std::size_t>(self.index() / kWarp)];
  Rendezvous* met = nullptr;
  for (Rendezvous& other : pending) {
    // Whoever waits in the other for this lane, while this one would wait for it, waits forever.
    // Masks may overlap otherwise: one of the two can be complete before the other.
    if (!(other.mask >> lane & 1u) || (other.arrived & mask) == 0) continue;
    if (other.mask != mask || other.operation != operation ||
        !may_be_same_place(other.place, place)) {
      fail("divergence", "lanes of warp " + std::to_string(first / kWarp) + " of block " +
                             std::to_string(index_) + " meet in two different collectives: lane " +
                             std::to_string(other.first % kWarp) + " in " +
                             describe(other.operation, other.mask, other.place) + ", lane " +
                             std::to_string(lane) + " in " + describe(operation, mask, place));
    }
    met = &other;
  }
  if (met == nullptr) {
    for (int other = 0; left_ < threads_ && other < kWarp && first + other < threads_; ++other) {
      if ((mask >> other & 1u) && thread(first + other).state == State::done) {
        fail("divergence", thread_name(self.index()) + " waits for lane " + std::to_string(other) +
                               ", which has returned, in " + describe(operation, mask, place));
      }
    }
    met = &pending.emplace_back();
    met->mask = mask;
    met->arrived = 0;
    met->operation = operation;
    met->place = place;
    met->first = self.index();
    if (mask != ~0u) std::fill(std::begin(met->slots), std::end(met->slots), nullptr);
  }
  met->arrived |= 1u << lane;
  met->slots[lane] = slot;
  if (met->arrived != mask) return suspend(State::waiting, operation, place);

  progress_->step();
  if (launch_->trace == index_) {
    char lanes[48];
    std::snprintf(lanes, sizeof lanes, "warp %d lanes 0x%08x", first / kWarp, mask);
    trace(*this, operation, lanes, place);
  }
  if (compute != nullptr) {
    // On behalf of all: what it reads of the lanes' is no access of this thread.
    if (kRace) current = nullptr;
    compute(met->slots, mask);
    if (kRace) current = &self;
  }
  if (orders_memory && kRace) {
    race::Knowledge together;
    for (unsigned lanes = mask; lanes != 0; lanes &= lanes - 1) {
      race::release(thread(first + std::countr_zero(lanes)), together);
    }
    for (unsigned lanes = mask; lanes != 0; lanes &= lanes - 1) {
      race::acquire(thread(first + std::countr_zero(lanes)), together);
    }
  }
  if (met != &pending.back()) *met = pending.back();
  pending.pop_back();
  wake_lanes(first, mask & ~(1u << lane));
  suspend(State::ready, operation, place);
}

__attribute__((noinline)) void sync_block() {
  Block& block = *current->block;
  block.arrive(0, block.threads(), true, "sync_threads", __builtin_return_address(0));
}

namespace {

void named(int id, int threads, bool waits, const char* operation, const void* place) {
  Block& block = *current->block;
  if (id < 1 || id >= kNamedBarriers || threads < kWarp || threads > kMaxThreads ||
      threads % kWarp != 0) {
    block.fail("divergence",
               std::string(operation) +
                   " takes a barrier from 1 to 15 and a multiple of 32 threads, not " +
                   std::to_string(id) + " and " + std::to_string(threads) + ", at " +
                   executor::place(place));
  }
  block.arrive(id, threads, waits, operation, place);
}

}  // namespace

__attribute__((noinline)) void sync_named(int id, int threads) {
  named(id, threads, true, "sync_named", __builtin_return_address(0));
}

__attribute__((noinline)) void arrive_named(int id, int threads) {
  named(id, threads, false, "arrive_named", __builtin_return_address(0));
}

__attribute__((noinline)) void converge(unsigned mask, const char* operation, void* slot,
                                        Compute compute) {
  current->block->converge(mask, operation, slot, compute, false, __builtin_return_address(0));
}

__attribute__((noinline)) void sync_warp(unsigned mask) {
  current->block->converge(mask, "sync_warp", nullptr, nullptr, true, __builtin_return_address(0));
}

}  // namespace assay::executor
