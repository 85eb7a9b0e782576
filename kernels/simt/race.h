// The race checker: happens-before by vector clocks, and which bytes have been written, for the
// shared memory of each block and for the outputs and workspaces in global memory. It sees every
// access of a kernel that was compiled with -fsanitize=thread, through callbacks of our own
// (race.cc); the runtime of that sanitizer takes no part, since it takes correct kernels for wrong.
//
// Time: sync_block divides the life of a block into phases; whatever happened in an earlier phase
// is ordered. Within a phase each thread has a clock, and knows up to which clock of every other
// thread it is ordered after that thread; the entries stay empty until something other than
// sync_block orders two threads. Bulk copies are written by an agent, which is no thread:
// sync_block orders its writes only for threads that have learned of them at an mbarrier.
#pragma once

#include <cstdint>
#include <map>
#include <string>
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
};

struct Access {
  enum Kind : std::uint8_t { none, read, write, atomic, copy, host };
  std::uint32_t launch = 0;
  int block = 0;
  std::uint32_t phase = 0, clock = 0;
  std::uint16_t thread = 0;
  Kind kind = none;
  const void* place = nullptr;
};
inline constexpr int kAgent = 0xffff;  // Access::thread of bulk copies

struct Cell {  // of one byte
  Access write, read;
  std::uint32_t readers = 0;  // into a table: further reads that no write has followed; 0: none
  bool in_flight = false;     // the target of an asynchronous copy; `write` is that copy
};

// Lists of the reads of one byte that no write has followed: by thread, then those of further
// blocks.
struct Readers {
  std::vector<std::vector<Access>> lists{1};  // lists[0] is never used
  std::uint32_t used = 1;

  std::uint32_t add();
  void clear() { used = 1; }
};

// Of the shared memory of a block.
struct BlockShadow {
  std::uint32_t phase = 0;  // grows for as long as the Block lives
  std::uint32_t first_phase = 0;
  std::uint32_t agent = 0;
  std::vector<Cell> cells;
  Readers readers;
  Knowledge elsewhere;  // what all threads know of other blocks
};

#if ASSAY_SIMT_RACE

void begin(Block& block);
void begin(Thread& thread);
void access(Thread& thread, const void* address, int bytes, Access::Kind kind, const void* place);
void release(Thread& thread, Knowledge& to);
void acquire(Thread& thread, const Knowledge& from);
void release_copies(Block& block, Knowledge& to);  // the agent's
void sync_all(Block& block);
void fence(Thread& thread);
// Before and after an atomic access. In this order: whoever reads what it wrote, on another OS
// thread, must find what it publishes.
void atomic_publishes(Thread& thread, const void* address, bool releases);
void atomic_observes(Thread& thread, const void* address, bool acquires);
// An asynchronous copy into shared memory begins (checked as a write) and ends (by the agent, or by
// the thread).
void copy_begins(Thread& thread, void* to, int bytes, const void* place);
void copy_ends(Block& block, Thread* thread, void* to, int bytes);

// Outputs and workspaces, which the host registers, fills and writes.
void watch(void* begin, std::int64_t bytes);
void forget(std::uintptr_t begin);
void host_wrote(void* begin, std::int64_t bytes, bool defined);

#else

inline void begin(Block&) {}
inline void begin(Thread&) {}
inline void access(Thread&, const void*, int, Access::Kind, const void*) {}
inline void release(Thread&, Knowledge&) {}
inline void acquire(Thread&, const Knowledge&) {}
inline void release_copies(Block&, Knowledge&) {}
inline void sync_all(Block&) {}
inline void fence(Thread&) {}
inline void atomic_publishes(Thread&, const void*, bool) {}
inline void atomic_observes(Thread&, const void*, bool) {}
inline void copy_begins(Thread&, void*, int, const void*) {}
inline void copy_ends(Block&, Thread*, void*, int) {}
inline void watch(void*, std::int64_t) {}
inline void forget(std::uintptr_t) {}
inline void host_wrote(void*, std::int64_t, bool) {}

#endif

}  // namespace race
}  // namespace assay::executor
