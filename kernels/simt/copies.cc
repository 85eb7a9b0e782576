// Asynchronous copies and the barriers that announce them. What is under way is filled with 0xff
// and may not be touched; copies of a thread land when it waits for them, bulk copies at any later
// moment.
#include <algorithm>
#include <cstring>
#include <string>

#include "kernels/simt/block.h"
#include "kernels/simt/finding.h"
#include "kernels/simt/launch.h"
#include "kernels/simt/memory.h"

#if ASSAY_SIMT_ADDRESS
#include <sanitizer/asan_interface.h>
#endif

namespace assay::executor {
namespace {

void begin_copy(Thread& self, void* to, const void* from, int bytes, bool reads, int alignment,
                const char* operation, const void* place) {
  Block& block = *self.block;
  const auto broken = [&](const char* kind, const std::string& what) {
    block.fail(kind, operation + std::string(" by ") + block.thread_name(self.index()) + " at " +
                         executor::place(place) + ": " + what);
  };
  const auto is_aligned = [&](const void* address) {
    return reinterpret_cast<std::uintptr_t>(address) % static_cast<std::uintptr_t>(alignment) == 0;
  };
  if (!is_aligned(to))
    broken("misaligned", "its target is not aligned to " + std::to_string(alignment) + " bytes");
  if (!is_aligned(from))
    broken("misaligned", "its source is not aligned to " + std::to_string(alignment) + " bytes");
  const Arena& arena = block.arena();
  const std::uint32_t offset = arena.offset(to);
  if (!arena.holds(to)) broken("out_of_bounds", "its target is not shared memory");
  const Arena::Slot* slot = arena.slot_at(offset);
  if (slot == nullptr || offset + static_cast<std::uint32_t>(bytes) > slot->begin + slot->bytes) {
    broken("out_of_bounds",
           "writes " + arena.describe(slot == nullptr ? offset : slot->begin + slot->bytes));
  }
  if (reads) {
    const Verdict verdict = check_global(from, bytes, false);
    if (!verdict.broken.empty()) broken("out_of_bounds", "reads " + verdict.broken);
  }
  race::copy_begins(self, to, bytes, place);
#if ASSAY_SIMT_ADDRESS
  if (__asan_region_is_poisoned(to, static_cast<std::size_t>(bytes)) != nullptr) {
    broken("race", "its target is that of another copy under way");
  }
#endif
  std::memset(to, 0xff, static_cast<std::size_t>(bytes));
#if ASSAY_SIMT_ADDRESS
  __asan_poison_memory_region(to, static_cast<std::size_t>(bytes));
#endif
}

void end_copy(void* to, const void* from, int bytes, bool valid) {
#if ASSAY_SIMT_ADDRESS
  __asan_unpoison_memory_region(to, static_cast<std::size_t>(bytes));
#endif
  if (valid) {
    std::memcpy(to, from, static_cast<std::size_t>(bytes));
  } else {
    std::memset(to, 0, static_cast<std::size_t>(bytes));
  }
}

}  // namespace

// --- copies of a thread, in groups

__attribute__((noinline)) void copy_async(void* shared, const void* global, int bytes, bool valid) {
  const void* place = __builtin_return_address(0);
  Thread& self = *current;
  begin_copy(self, shared, global, bytes, valid, bytes, "copy_async", place);
  self.copies.push_back({shared, global, bytes, valid, self.group, place});
}

void commit_async() { ++current->group; }

void wait_async(int pending) {
  Thread& self = *current;
  self.block->land_copies(self, self.group - pending);
}

// Those of groups before `group`.
void Block::land_copies(Thread& self, int group) {
  std::size_t landed = 0;
  for (; landed < self.copies.size() && self.copies[landed].group < group; ++landed) {
    const AsyncCopy& copy = self.copies[landed];
    end_copy(copy.to, copy.from, copy.bytes, copy.valid);
    race::copy_ends(*this, &self, copy.to, copy.bytes);
  }
  self.copies.erase(self.copies.begin(), self.copies.begin() + static_cast<std::ptrdiff_t>(landed));
}

// --- mbarriers

MBarrier& Block::mbarrier(const std::uint64_t* barrier, const char* operation, const void* place) {
  Thread& self = *current;
  const auto found = mbarriers.find(barrier);
  if (found == mbarriers.end()) {
    fail("uninitialised", operation + std::string(" by ") + thread_name(self.index()) + " at " +
                              executor::place(place) +
                              " on what mbarrier_init has not been called for (" +
                              (arena_.holds(barrier) ? arena_.describe(arena_.offset(barrier))
                                                     : "not shared memory") +
                              ")");
  }
  // Whoever uses a barrier must be ordered after its initialisation.
  race::access(self, barrier, sizeof *barrier, race::Access::atomic, place);
  return found->second;
}

std::string Block::describe(const MBarrier& barrier) const {
  std::string text = "phase " + std::to_string(barrier.phase) + " lacks " +
                     std::to_string(barrier.pending) + " of " + std::to_string(barrier.arrivals) +
                     " arrivals";
  if (barrier.announced != 0 || barrier.landed != 0) {
    text += "; " + std::to_string(barrier.announced) + " bytes were announced, " +
            std::to_string(barrier.landed) + " came";
  }
  return text;
}

void Block::complete_phase(MBarrier& barrier) {
  if (barrier.pending > 0 || barrier.bytes != 0) return;
  progress_->step();
  barrier.pending = barrier.arrivals;
  barrier.announced = barrier.landed = 0;
  ++barrier.phase;
  barrier.completed = std::move(barrier.arriving);
  barrier.arriving = {};
  for (int i = 0; i < threads_; ++i) {
    Thread& waiting = thread(i);
    if (waiting.state == State::waiting && waiting.barrier != nullptr &&
        &mbarriers.at(waiting.barrier) == &barrier && barrier.phase % 2 != waiting.parity) {
      waiting.barrier = nullptr;
      race::acquire(waiting, barrier.completed);
      wake(i);
    }
  }
}

__attribute__((noinline)) void mbarrier_init(std::uint64_t* barrier, int arrivals) {
  const void* place = __builtin_return_address(0);
  Thread& self = *current;
  Block& block = *self.block;
  if (!block.arena().holds(barrier) ||
      reinterpret_cast<std::uintptr_t>(barrier) % sizeof *barrier != 0) {
    block.fail("misaligned", "mbarrier_init at " + executor::place(place) +
                                 " takes 8 aligned bytes of shared memory");
  }
  if (arrivals < 1 || arrivals >= 1 << 20) {
    block.fail("refused", "mbarrier_init at " + executor::place(place) + " for " +
                              std::to_string(arrivals) + " arrivals");
  }
  race::access(self, barrier, sizeof *barrier, race::Access::write, place);
  *barrier = 0;
  MBarrier fresh;
  fresh.arrivals = fresh.pending = arrivals;
  block.mbarriers[barrier] = fresh;
}

__attribute__((noinline)) void mbarrier_arrive(std::uint64_t* barrier, int expected_bytes,
                                               bool expects) {
  const void* place = __builtin_return_address(0);
  Thread& self = *current;
  Block& block = *self.block;
  MBarrier& state = block.mbarrier(barrier, "mbarrier_arrive", place);
  if (expects) {
    state.bytes += expected_bytes;
    state.announced += expected_bytes;
    state.announcer = self.index();
  }
  if (state.pending == 0) {
    block.fail("divergence", "mbarrier_arrive by " + block.thread_name(self.index()) + " at " +
                                 executor::place(place) +
                                 " is one arrival too many: " + block.describe(state));
  }
  race::release(self, state.arriving);
  --state.pending;
  block.complete_phase(state);
}

__attribute__((noinline)) void mbarrier_expect(std::uint64_t* barrier, int bytes) {
  MBarrier& state =
      current->block->mbarrier(barrier, "mbarrier_expect", __builtin_return_address(0));
  state.bytes += bytes;
  state.announced += bytes;
}

__attribute__((noinline)) bool mbarrier_test(std::uint64_t* barrier, int parity) {
  const void* place = __builtin_return_address(0);
  Thread& self = *current;
  Block& block = *self.block;
  MBarrier& state = block.mbarrier(barrier, "mbarrier_test", place);
  // The phase before the first counts as complete, with parity 1.
  if (state.phase % 2 == (parity & 1)) {
    block.suspend(State::polling, "mbarrier_test", place);
    return false;
  }
  race::acquire(self, state.completed);
  return true;
}

__attribute__((noinline)) void mbarrier_wait(std::uint64_t* barrier, int parity) {
  const void* place = __builtin_return_address(0);
  Thread& self = *current;
  Block& block = *self.block;
  MBarrier& state = block.mbarrier(barrier, "mbarrier_wait", place);
  if (state.phase % 2 != (parity & 1)) {
    race::acquire(self, state.completed);
    return;
  }
  self.barrier = barrier;
  self.parity = parity & 1;
  block.suspend(State::waiting, "mbarrier_wait", place);
}

// --- bulk copies

__attribute__((noinline)) void copy_bulk(void* shared, const void* global, int bytes,
                                         std::uint64_t* barrier) {
  const void* place = __builtin_return_address(0);
  Thread& self = *current;
  Block& block = *self.block;
  block.mbarrier(barrier, "copy_bulk", place);
  if (bytes <= 0 || bytes % 16 != 0) {
    block.fail("misaligned", "copy_bulk by " + block.thread_name(self.index()) + " at " +
                                 executor::place(place) + " of " + std::to_string(bytes) +
                                 " bytes, which is no multiple of 16");
  }
  begin_copy(self, shared, global, bytes, true, 16, "copy_bulk", place);
  block.bulk_copies.push_back({shared, global, bytes, barrier, self.index(), place});
}

void Block::land_bulk(std::size_t which) {
  const BulkCopy copy = bulk_copies[which];
  bulk_copies.erase(bulk_copies.begin() + static_cast<std::ptrdiff_t>(which));
  end_copy(copy.to, copy.from, copy.bytes, true);
  race::copy_ends(*this, nullptr, copy.to, copy.bytes);
  MBarrier& barrier = mbarriers.at(copy.barrier);
  barrier.bytes -= copy.bytes;
  barrier.landed += copy.bytes;
  race::release_copies(*this, barrier.arriving);
  complete_phase(barrier);
}

// ascending: as late as possible, when nothing else can happen. descending: at once. Otherwise
// whenever.
void Block::maybe_land_bulk() {
  const Schedule schedule = launch_->schedule;
  while (!bulk_copies.empty()) {
    const bool forced = ready_.empty();
    if (!forced && (schedule == Schedule::ascending ||
                    (schedule != Schedule::descending && random() % 8 != 0)))
      return;
    land_bulk(random() % bulk_copies.size());
  }
}

}  // namespace assay::executor
