// A block that is running: its threads as fibers, who may run next, its shared memory, its
// barriers. Everything here belongs to one OS thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "kernels/simt/executor.h"
#include "kernels/simt/fiber.h"
#include "kernels/simt/race.h"

namespace assay::executor {

struct Cluster;
struct Launch;
struct Mail;
struct Progress;

inline constexpr int kWarp = 32;
inline constexpr int kMaxThreads = 1024;
inline constexpr int kNamedBarriers = 16;

enum class State : std::uint8_t { ready, waiting, polling, done };

// 16 or fewer bytes from global to shared memory, under way.
struct AsyncCopy {
  void* to;
  const void* from;
  int bytes;
  bool valid;  // else zeros
  int group;
  const void* place;
};

// Begins with what every switch needs, in one line of the cache.
struct alignas(64) Thread {
  Position position;  // first, see position()
  Block* block = nullptr;
  const char* operation = "";   // that it waits in
  const void* place = nullptr;  // of that call
  State state = State::ready;
  Fiber fiber;
  std::uint64_t* barrier = nullptr;  // and the mbarrier and parity, where it waits for one
  int parity = 0;
  std::int64_t rounds = 0;        // of the cluster's barrier that it has arrived at
  std::vector<AsyncCopy> copies;  // by age
  int group = 0;                  // the number of its open group of copies
  race::Clock clock;

  int index() const { return position.thread; }
};

// Which threads may run: a set with a quick search for the next one.
class ReadySet {
 public:
  void clear() { *this = {}; }
  void insert(int thread);
  // Lanes of the warp that begins with thread `first`.
  void insert(int first, std::uint32_t lanes);
  void erase(int thread);
  int next(int from) const;      // the least member >= from, or -1
  int previous(int from) const;  // the greatest member <= from, or -1
  bool empty() const { return occupied_ == 0; }

 private:
  std::uint64_t words_[kMaxThreads / 64] = {};
  std::uint32_t occupied_ = 0;  // bit w: words_[w] is not zero
};

// Round `id` of a barrier of the block (0: sync_block).
struct BlockBarrier {
  int expected = 0;
  int arrived = 0;
  const void* place = nullptr;  // of the first to arrive
  int first = 0;                // that thread
  std::vector<int> waiting;
  race::Knowledge knowledge;  // what those knew that have arrived
};

// Lanes that have come to the same converge().
struct Rendezvous {
  Rendezvous() noexcept {
  }  // the slots are filled as lanes come: zeros would cost more than the rest

  unsigned mask = 0, arrived = 0;
  const char* operation = nullptr;
  const void* place = nullptr;
  int first = 0;
  void* slots[kWarp];
};

struct MBarrier {
  int arrivals = 0;        // of a phase
  int pending = 0;         // still to come in this phase
  std::int64_t bytes = 0;  // still to come; below zero when more came than were announced
  std::int64_t announced = 0, landed = 0;  // of this phase
  int phase = 0;
  int announcer = 0;                    // the thread that announced bytes last
  race::Knowledge arriving, completed;  // of the current phase, of the last complete one
};

struct BulkCopy {
  void* to;
  const void* from;
  int bytes;
  std::uint64_t* barrier;
  int thread;
  const void* place;
};

// Shared memory of a block: allocations between red zones, filled with 0xff, which is NaN in every
// float format.
class Arena {
 public:
  Arena();
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  struct Slot {
    const SharedVariable* variable;  // null: the dynamic part
    std::uint32_t begin, bytes;
  };

  void reset();
  char* allocate(const SharedVariable* variable, std::size_t bytes, std::size_t alignment);
  char* find(const SharedVariable* variable) const;
  bool holds(const void* address) const {
    const auto* byte = static_cast<const char*>(address);
    return byte >= memory_ && byte < memory_ + kBytes;
  }
  std::uint32_t offset(const void* address) const {
    return static_cast<std::uint32_t>(static_cast<const char*>(address) - memory_);
  }
  char* at(std::uint32_t offset) const { return memory_ + offset; }
  // The slot with that byte; null: none has it.
  const Slot* slot_at(std::uint32_t offset) const;
  // "`sums`, byte 12", or "12 bytes after `sums`".
  std::string describe(std::uint32_t offset) const;
  // The first byte of a red zone that was overwritten, or -1.
  std::int64_t overwritten() const;
  std::int64_t used() const { return used_; }  // bytes, without red zones

  static constexpr std::size_t kBytes = race::kSharedBytes;

 private:
  char* memory_;
  std::size_t end_ = 0;
  std::int64_t used_ = 0;
  std::vector<Slot> slots_;
};

class Block {
 public:
  enum class Outcome : std::uint8_t { done, polling, stopped };

  // Begins block `index` of the launch; a Block is used again for the next.
  void begin(Launch& launch, std::int64_t index, Progress& progress);
  // Runs until all threads are done, or all that are left wait for other blocks, or the launch is
  // to stop.
  Outcome run(Fiber& worker);

  Launch& launch() { return *launch_; }
  int index() const { return index_; }
  int threads() const { return threads_; }
  Thread& thread(int index) { return all_[static_cast<std::size_t>(index)]; }
  Progress& progress() { return *progress_; }
  Arena& arena() { return arena_; }
  race::BlockShadow& shadow() { return shadow_; }

  // The current thread gives up the OS thread until wake().
  void suspend(State state, const char* operation, const void* place);
  void wake(int thread);
  void wake_lanes(int first, unsigned lanes);  // none of which polls
  // Ends the launch with a finding. The current thread never runs again.
  [[noreturn]] void fail(const std::string& kind, const std::string& text);

  // barriers.cc
  void arrive(int id, int threads, bool waits, const char* operation, const void* place);
  void converge(unsigned mask, const char* operation, void* slot, Compute compute,
                bool orders_memory, const void* place);
  // copies.cc
  void land_copies(Thread& thread, int last_group);
  MBarrier& mbarrier(const std::uint64_t* barrier, const char* operation, const void* place);
  void land_bulk(std::size_t which);
  void complete_phase(MBarrier& barrier);
  void maybe_land_bulk();
  void take_mail();
  void leave_cluster();
  void deliver(const Mail& letter);
  Cluster* cluster() const;
  int rank() const;
  std::string describe(const MBarrier& barrier) const;

  std::unordered_map<const std::uint64_t*, MBarrier> mbarriers;
  std::vector<BulkCopy> bulk_copies;

  // Where every thread is that is not done: for findings about those that never meet.
  std::string whereabouts();
  std::string thread_name(int thread) const;  // "block 3, thread 17"

 private:
  static void enter(Fiber& fiber);
  void take_turn(Thread* thread);
  Thread* pick();
  [[noreturn]] void leave(Thread& self);  // a thread has returned from the kernel
  void give_back();                       // to the worker
  std::uint64_t random();

  Launch* launch_ = nullptr;
  Progress* progress_ = nullptr;
  int index_ = 0, threads_ = 0, left_ = 0;
  std::vector<Thread> all_;
  ReadySet ready_;
  int polling_ = 0, starved_ = 0;
  std::uint64_t random_ = 1;
  Fiber* worker_ = nullptr;
  Outcome outcome_ = Outcome::done;
  Arena arena_;
  race::BlockShadow shadow_;
  BlockBarrier barriers_[kNamedBarriers];
  std::vector<std::vector<Rendezvous>> warps_;  // the collectives that each has begun
};

}  // namespace assay::executor
