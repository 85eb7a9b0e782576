// Happens-before, by vector clocks. sync_block divides the life of a block into phases; whatever
// happened in an earlier phase is ordered. Within a phase each thread has a clock, and knows up to
// which clock of every other thread it is ordered after that thread; the entries stay empty until
// something other than sync_block orders two threads. Bulk copies are written by an agent, which is
// no thread: sync_block orders its writes only for threads that have learned of them at an
// mbarrier.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "kernels/simt/flavour.h"

namespace assay::executor {

class Block;
struct Thread;

namespace race {

// What a thread, or a barrier, is ordered after, in one block.
struct Known {
  std::uint32_t phase = 0;             // of the block; earlier ones are known whole
  std::vector<std::uint32_t> threads;  // clocks in that phase; empty: none
};

struct Knowledge {
  int block = -1;  // whose agent and threads these are
  Known own;
  std::uint32_t agent = 0;         // clock of the block's agent
  std::map<int, Known> elsewhere;  // of other blocks
};

// A thread's.
struct Clock {
  std::uint32_t own = 1;  // in the current phase
  Knowledge knowledge;
  Knowledge pending,
      released;  // of fence(): what relaxed atomic accesses have read; what they publish
  bool has_pending = false, has_released = false;
  bool is_plain = true;  // nothing but sync_block has ordered the thread
};

// By lanes of one warp, with the same clock, at the same place.
struct Access {
  enum Kind : std::uint8_t { none, read, write, atomic, copy, host };
  std::uint32_t launch = 0;
  int block = 0;
  std::uint32_t phase = 0, clock = 0;
  std::uint32_t lanes = 0;
  std::int32_t place = 0;  // bytes from a fixed place in this program
  std::uint16_t warp = 0;
  Kind kind = none;

  bool same_epoch(const Access& other) const {
    return launch == other.launch && block == other.block && phase == other.phase &&
           clock == other.clock && warp == other.warp;
  }
};
inline constexpr int kAgent = 0xffff;  // Access::warp of bulk copies

bool is_ordered_slowly(const Access& before, const Thread& now);

// Whether `before` happened before what `now`, by `thread`, does.
inline bool is_ordered(const Access& before, const Access& now, const Thread& thread) {
  if (before.kind == Access::none || before.kind == Access::host) return true;
  if (before.launch != now.launch) return true;
  if (before.block == now.block && before.warp != kAgent &&
      (before.phase < now.phase || (before.warp == now.warp && before.lanes == now.lanes)))
    return true;
  return is_ordered_slowly(before, thread);
}

#if ASSAY_SIMT_RACE

void begin_order(Block& block);
void begin(Thread& thread);
void release(Thread& thread, Knowledge& to);
void acquire(Thread& thread, const Knowledge& from);
void release_copies(Block& block, Knowledge& to);  // the agent's
void sync_all(Block& block);
void fence(Thread& thread);
// Before and after an atomic access. In this order: whoever reads what it wrote, on another OS
// thread, must find what it publishes.
void atomic_publishes(Thread& thread, const void* address, bool releases);
void atomic_observes(Thread& thread, const void* address, bool acquires);

#else

inline void begin(Thread&) {}
inline void release(Thread&, Knowledge&) {}
inline void acquire(Thread&, const Knowledge&) {}
inline void release_copies(Block&, Knowledge&) {}
inline void sync_all(Block&) {}
inline void fence(Thread&) {}
inline void atomic_publishes(Thread&, const void*, bool) {}
inline void atomic_observes(Thread&, const void*, bool) {}

#endif

}  // namespace race
}  // namespace assay::executor
