#include "kernels/simt/race.h"

#if ASSAY_SIMT_RACE

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <unordered_map>

#include "kernels/simt/block.h"
#include "kernels/simt/finding.h"
#include "kernels/simt/launch.h"
#include "kernels/simt/memory.h"

namespace assay::executor::race {
namespace {

constexpr std::size_t kMostReaders = 2048;  // that a byte remembers

// --- what is ordered

// Whether clock `clock` of `thread` in `phase` is in `known`.
bool covers(const Known& known, std::uint32_t phase, int thread, std::uint32_t clock) {
  if (known.phase != phase) return known.phase > phase;
  return static_cast<std::size_t>(thread) < known.threads.size() &&
         known.threads[static_cast<std::size_t>(thread)] >= clock;
}

void join(Known& to, const Known& from) {
  if (from.phase < to.phase) return;
  if (from.phase > to.phase) {
    to = from;
    return;
  }
  if (to.threads.size() < from.threads.size()) to.threads.resize(from.threads.size());
  for (std::size_t i = 0; i < from.threads.size(); ++i)
    to.threads[i] = std::max(to.threads[i], from.threads[i]);
}

void join(Knowledge& to, const Knowledge& from) {
  if (from.block < 0) return;
  if (to.block < 0) to.block = from.block;
  if (from.block == to.block) {
    join(to.own, from.own);
    to.agent = std::max(to.agent, from.agent);
  } else {
    join(to.elsewhere[from.block], from.own);
  }
  for (const auto& [block, known] : from.elsewhere) {
    if (block != to.block) join(to.elsewhere[block], known);
  }
}

// Everything `thread` is ordered after, itself included. Its own entry is in no copy of its
// knowledge but this.
Knowledge snapshot(const Thread& thread) {
  Knowledge all = thread.clock.knowledge;
  const auto index = static_cast<std::size_t>(thread.index());
  if (all.own.phase != thread.block->shadow().phase) all.own = {thread.block->shadow().phase, {}};
  if (all.own.threads.size() <= index) all.own.threads.resize(index + 1);
  all.own.threads[index] = thread.clock.own;
  join(all, thread.block->shadow().elsewhere);
  return all;
}

bool is_ordered(const Access& before, const Thread& now) {
  if (before.kind == Access::none || before.kind == Access::host) return true;
  const Launch& launch = now.block->launch();
  if (before.launch != launch.number) return true;
  const BlockShadow& shadow = now.block->shadow();
  if (before.block != now.block->index()) {
    for (const Knowledge* knowledge : {&now.clock.knowledge, &shadow.elsewhere}) {
      const auto known = knowledge->elsewhere.find(before.block);
      if (known != knowledge->elsewhere.end() &&
          covers(known->second, before.phase, before.thread, before.clock))
        return true;
    }
    return false;
  }
  if (before.thread == kAgent) return now.clock.knowledge.agent >= before.clock;
  if (before.phase < shadow.phase || before.thread == now.index()) return true;
  return covers(now.clock.knowledge.own, before.phase, before.thread, before.clock);
}

Access now_by(const Thread& thread, Access::Kind kind, const void* place) {
  return {thread.block->launch().number,
          thread.block->index(),
          thread.block->shadow().phase,
          thread.clock.own,
          static_cast<std::uint16_t>(thread.index()),
          kind,
          place};
}

// --- shadows of global memory

struct Region {
  std::uintptr_t begin = 0, end = 0;
  Cell* cells = nullptr;
  std::uint32_t filled = 0;  // what launches up to this one wrote has been overwritten by the host
  bool defined = false;      // with values
};

std::vector<Region>& regions() {
  static std::vector<Region> all;
  return all;
}

Cell* map_cells(std::size_t count) {
  void* memory = mmap(nullptr, count * sizeof(Cell), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return memory == MAP_FAILED ? nullptr : static_cast<Cell*>(memory);
}

std::atomic<std::uint32_t> last_launch{0};

struct Found {
  Cell* cell = nullptr;
  const Region* region = nullptr;
};

Found global_cell(std::uintptr_t address) {
  thread_local const Region* last = nullptr;
  const std::vector<Region>& all = regions();
  if (last != nullptr && last >= all.data() && last < all.data() + all.size() &&
      address >= last->begin && address < last->end) {
    return {last->cells + (address - last->begin), last};
  }
  for (const Region& region : all) {
    if (address >= region.begin && address < region.end) {
      last = &region;
      return {region.cells + (address - region.begin), &region};
    }
  }
  return {};
}

// Blocks on other OS threads look at the same bytes: one lock for neighbouring ones.
class Guard {
 public:
  explicit Guard(const void* address)
      : flag_(locks_[reinterpret_cast<std::uintptr_t>(address) / 64 % kLocks]) {
    while (flag_.test_and_set(std::memory_order_acquire)) {
    }
  }
  ~Guard() { flag_.clear(std::memory_order_release); }
  Guard(const Guard&) = delete;
  Guard& operator=(const Guard&) = delete;

 private:
  static constexpr std::size_t kLocks = 4096;
  static inline std::atomic_flag locks_[kLocks];
  std::atomic_flag& flag_;
};

// Further readers of global bytes; shared ones have their block's.
struct GlobalReaders {
  std::mutex mutex;
  std::uint32_t launch = 0;
  Readers lists;
};
GlobalReaders& global_readers() {
  static GlobalReaders instance;
  return instance;
}

std::mutex sync_mutex;
std::uint32_t sync_launch = 0;
std::unordered_map<const void*, Knowledge>& sync_objects() {  // released through atomic accesses
  static std::unordered_map<const void*, Knowledge> all;
  return all;
}

// --- findings

std::string describe(const Access& access) {
  static constexpr const char* kVerbs[] = {"",
                                           "read",
                                           "written",
                                           "accessed atomically",
                                           "target of an asynchronous copy",
                                           "written by the host"};
  std::string who =
      access.thread == kAgent ? "the bulk copy" : "thread " + std::to_string(access.thread);
  return std::string(kVerbs[access.kind]) + " by " + who + " of block " +
         std::to_string(access.block) + " at " + executor::place(access.place);
}

std::string target(Block& block, const void* address) {
  return block.arena().holds(address) ? block.arena().describe(block.arena().offset(address))
                                      : executor::describe_global(address);
}

[[noreturn]] void fail_race(Thread& thread, const void* address, const Access& before,
                            const Access& now) {
  thread.block->fail("race", target(*thread.block, address) + ": " + describe(before) + " and " +
                                 describe(now) + ", with nothing between that orders the two");
}

// --- one byte

// `lists`: where the further readers are kept; `lock`: guards them, or null.
void check_byte(Thread& thread, Cell& cell, const void* address, Access::Kind kind,
                const void* place, Readers& lists, std::mutex* lock, bool global) {
  if (kind == Access::read && !cell.in_flight && cell.read.thread == thread.index() &&
      cell.read.kind == Access::read && cell.read.block == thread.block->index() &&
      cell.read.phase == thread.block->shadow().phase && cell.read.clock == thread.clock.own &&
      cell.read.launch == thread.block->launch().number) {
    return;  // looked at before, and no write since
  }
  const Access now = now_by(thread, kind, place);
  if (cell.in_flight) {
    if (!global || cell.write.launch == now.launch) {
      thread.block->fail("race", target(*thread.block, address) + ": " + describe(now) +
                                     " while it is the " + describe(cell.write) +
                                     ", which has not been waited for");
    }
  }
  const bool both_atomic = kind == Access::atomic && cell.write.kind == Access::atomic;
  if (!both_atomic && !is_ordered(cell.write, thread)) fail_race(thread, address, cell.write, now);

  const bool same_reader = cell.read.kind != Access::none && cell.read.launch == now.launch &&
                           cell.read.block == now.block && cell.read.thread == now.thread;
  if (kind == Access::read) {
    if (cell.read.kind == Access::none || same_reader || is_ordered(cell.read, thread)) {
      cell.read = now;
      return;
    }
    // A reader beside others that no write has followed.
    const auto add = [&] {
      if (cell.readers == 0 || cell.readers >= lists.used) cell.readers = lists.add();
      std::vector<Access>& list = lists.lists[cell.readers];
      if (list.size() <= now.thread) list.resize(static_cast<std::size_t>(now.thread) + 1);
      Access& mine = list[now.thread];
      if (mine.kind == Access::none || mine.launch != now.launch || mine.block == now.block) {
        mine = now;
      } else if (list.size() < kMostReaders) {
        list.push_back(now);
      }
    };
    if (lock != nullptr) {
      const std::scoped_lock guard(*lock);
      add();
    } else {
      add();
    }
    return;
  }
  // A write, plain or atomic: after every read.
  if (!same_reader && !is_ordered(cell.read, thread)) fail_race(thread, address, cell.read, now);
  if (cell.readers != 0) {
    Access unordered;
    const auto search = [&] {
      if (cell.readers >= lists.used) return;
      for (const Access& other : lists.lists[cell.readers]) {
        if (!is_ordered(other, thread)) unordered = other;
      }
    };
    if (lock != nullptr) {
      const std::scoped_lock guard(*lock);
      search();
    } else {
      search();
    }
    if (unordered.kind != Access::none) fail_race(thread, address, unordered, now);
    cell.readers = 0;
  }
  cell.write = now;
  cell.read = {};
}

void access_shared(Thread& thread, const void* address, int bytes, Access::Kind kind,
                   const void* place) {
  Block& block = *thread.block;
  BlockShadow& shadow = block.shadow();
  const std::uint32_t offset = block.arena().offset(address);
  const Arena::Slot* slot = block.arena().slot_at(offset);
  const std::uint32_t end = offset + static_cast<std::uint32_t>(bytes);
  if (slot == nullptr || end > slot->begin + slot->bytes) {
    block.fail("out_of_bounds",
               block.arena().describe(slot == nullptr ? offset : slot->begin + slot->bytes) + ": " +
                   describe(now_by(thread, kind, place)));
  }
  for (std::uint32_t i = offset; i < end; ++i) {
    Cell& cell = shadow.cells[i];
    if (cell.write.kind == Access::none || cell.write.phase < shadow.first_phase) {
      // Not written in this block.
      if (kind == Access::read || kind == Access::atomic) {
        block.fail("uninitialised", block.arena().describe(i) + ": " +
                                        describe(now_by(thread, kind, place)) +
                                        ", and nothing has written it");
      }
      cell = {};
    }
    if (cell.read.phase != shadow.phase) cell.readers = 0;  // ordered, and the table has begun anew
    check_byte(thread, cell, static_cast<const char*>(address) + (i - offset), kind, place,
               shadow.readers, nullptr, false);
  }
}

void access_global(Thread& thread, const void* address, int bytes, Access::Kind kind,
                   const void* place) {
  Block& block = *thread.block;
  const Verdict verdict = check_global(address, bytes, kind != Access::read);
  if (!verdict.broken.empty()) {
    const bool is_input = verdict.broken[0] == '`';
    block.fail(is_input ? "write_to_input" : "out_of_bounds",
               verdict.broken + ": " + describe(now_by(thread, kind, place)));
  }
  if (verdict.buffer == nullptr || !verdict.buffer->writable) return;
  GlobalReaders& readers = global_readers();
  {
    const std::scoped_lock lock(readers.mutex);
    if (readers.launch != block.launch().number) {
      readers.launch = block.launch().number;
      readers.lists.clear();
    }
  }
  const auto* byte = static_cast<const char*>(address);
  for (int i = 0; i < bytes; ++i) {
    const auto [cell, region] = global_cell(reinterpret_cast<std::uintptr_t>(byte + i));
    if (cell == nullptr) return;
    // A finding leaves the fiber: the lock must be free by then.
    bool undefined = false;
    Cell copy;
    {
      const Guard guard(byte + i);
      if (cell->write.kind != Access::host && cell->write.launch <= region->filled) {
        *cell = {};
        if (region->defined) cell->write.kind = Access::host;
      }
      if (cell->readers != 0 && cell->read.launch != block.launch().number) cell->readers = 0;
      undefined = cell->write.kind == Access::none && kind != Access::write;
      copy = *cell;
    }
    if (undefined) {
      block.fail("uninitialised", executor::describe_global(byte + i) + ": " +
                                      describe(now_by(thread, kind, place)) +
                                      ", and nothing has written it");
    }
    check_byte(thread, copy, byte + i, kind, place, readers.lists, &readers.mutex, true);
    const Guard guard(byte + i);
    *cell = copy;
  }
}

}  // namespace

std::uint32_t Readers::add() {
  if (used == lists.size()) lists.emplace_back();
  lists[used].clear();
  return used++;
}

// --- the executor's side

void begin(Block& block) {
  BlockShadow& shadow = block.shadow();
  if (shadow.cells.empty()) shadow.cells.resize(Arena::kBytes);
  shadow.first_phase = ++shadow.phase;
  last_launch = block.launch().number;
  shadow.readers.clear();
  shadow.elsewhere = {};
  shadow.elsewhere.block = block.index();
  shadow.agent = 0;
}

void begin(Thread& thread) {
  thread.clock = {};
  thread.clock.knowledge.block = thread.block->index();
}

void access(Thread& thread, const void* address, int bytes, Access::Kind kind, const void* place) {
  if (thread.block->arena().holds(address)) {
    access_shared(thread, address, bytes, kind, place);
  } else {
    access_global(thread, address, bytes, kind, place);
  }
}

void release(Thread& thread, Knowledge& to) {
  join(to, snapshot(thread));
  ++thread.clock.own;
}

void acquire(Thread& thread, const Knowledge& from) { join(thread.clock.knowledge, from); }

void release_copies(Block& block, Knowledge& to) {
  Knowledge agent;
  agent.block = block.index();
  agent.agent = block.shadow().agent;
  join(to, agent);
}

void sync_all(Block& block) {
  BlockShadow& shadow = block.shadow();
  std::uint32_t agent = 0;
  bool elsewhere = false;
  for (int i = 0; i < block.threads(); ++i) {
    const Knowledge& knowledge = block.thread(i).clock.knowledge;
    agent = std::max(agent, knowledge.agent);
    elsewhere = elsewhere || !knowledge.elsewhere.empty();
  }
  if (elsewhere) {
    for (int i = 0; i < block.threads(); ++i)
      join(shadow.elsewhere, block.thread(i).clock.knowledge);
    shadow.elsewhere.own = {};
    shadow.elsewhere.agent = 0;
  }
  ++shadow.phase;
  shadow.readers.clear();
  for (int i = 0; i < block.threads(); ++i) {
    Clock& clock = block.thread(i).clock;
    clock.own = 1;
    clock.knowledge.agent = agent;
    if (elsewhere) clock.knowledge.elsewhere.clear();
  }
}

void copy_begins(Thread& thread, void* to, int bytes, const void* place) {
  access_shared(thread, to, bytes, Access::copy, place);
  const std::uint32_t offset = thread.block->arena().offset(to);
  for (int i = 0; i < bytes; ++i)
    thread.block->shadow().cells[offset + static_cast<std::uint32_t>(i)].in_flight = true;
}

void copy_ends(Block& block, Thread* thread, void* to, int bytes) {
  BlockShadow& shadow = block.shadow();
  const std::uint32_t offset = block.arena().offset(to);
  if (thread == nullptr) ++shadow.agent;
  for (int i = 0; i < bytes; ++i) {
    Cell& cell = shadow.cells[offset + static_cast<std::uint32_t>(i)];
    cell.in_flight = false;
    cell.write.phase = shadow.phase;
    if (thread != nullptr) {
      cell.write.clock = thread->clock.own;
    } else {
      cell.write.thread = static_cast<std::uint16_t>(kAgent);
      cell.write.clock = shadow.agent;
    }
  }
}

void atomic_publishes(Thread& thread, const void* address, bool releases) {
  const std::scoped_lock lock(sync_mutex);
  if (sync_launch != thread.block->launch().number) {
    sync_launch = thread.block->launch().number;
    sync_objects().clear();
  }
  if (releases) {
    release(thread, sync_objects()[address]);
  } else if (thread.clock.has_released) {
    join(sync_objects()[address], thread.clock.released);
  }
}

void atomic_observes(Thread& thread, const void* address, bool acquires) {
  const std::scoped_lock lock(sync_mutex);
  const auto known = sync_objects().find(address);
  if (known == sync_objects().end()) return;
  if (acquires) {
    acquire(thread, known->second);
  } else {
    join(thread.clock.pending, known->second);
    thread.clock.has_pending = true;
  }
}

void fence(Thread& thread) {
  Clock& clock = thread.clock;
  if (clock.has_pending) acquire(thread, clock.pending);
  clock.pending = {};
  clock.has_pending = false;
  clock.released = {};
  release(thread, clock.released);
  clock.has_released = true;
}

void watch(void* begin, std::int64_t bytes) {
  if (Cell* cells = map_cells(static_cast<std::size_t>(bytes))) {
    const auto at = reinterpret_cast<std::uintptr_t>(begin);
    regions().push_back({at, at + static_cast<std::uintptr_t>(bytes), cells, last_launch, false});
  }
}

void forget(std::uintptr_t begin) {
  auto& all = regions();
  for (auto region = all.begin(); region != all.end(); ++region) {
    if (region->begin != begin) continue;
    munmap(region->cells, (region->end - region->begin) * sizeof(Cell));
    all.erase(region);
    return;
  }
}

void host_wrote(void* begin, std::int64_t bytes, bool defined) {
  const auto first = reinterpret_cast<std::uintptr_t>(begin),
             last = first + static_cast<std::uintptr_t>(bytes);
  for (Region& region : regions()) {
    const std::uintptr_t from = std::max(first, region.begin), to = std::min(last, region.end);
    if (from >= to) continue;
    if (from == region.begin && to == region.end) {
      region.filled = last_launch;
      region.defined = defined;
      continue;
    }
    for (std::uintptr_t i = from; i < to; ++i) {
      Cell& cell = region.cells[i - region.begin];
      cell = {};
      cell.write.kind = defined ? Access::host : Access::none;
    }
  }
}

}  // namespace assay::executor::race

#endif  // ASSAY_SIMT_RACE
