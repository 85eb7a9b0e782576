#include "kernels/simt/race.h"

#if ASSAY_SIMT_RACE

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <memory>
#include <mutex>
#include <new>
#include <string>

#include "kernels/simt/block.h"
#include "kernels/simt/finding.h"
#include "kernels/simt/launch.h"
#include "kernels/simt/memory.h"

namespace assay::executor::race {

// Global memory that is checked.
struct Region {
  Region(std::uintptr_t first, std::size_t bytes, std::uint32_t launch)
      : begin(first), end(first + bytes), cells(bytes), filled(launch) {}
  std::uintptr_t begin, end;
  Cells cells;
  std::uint32_t filled;  // what launches up to this one wrote has been overwritten by the host
  bool defined = false;  // with values
};

namespace {

constexpr std::size_t kMostReaders = 2048;  // that a cell remembers

// --- places, in four bytes

constexpr char kFixedPlace = 0;

std::int32_t pack_place(const void* place) {
  return static_cast<std::int32_t>(reinterpret_cast<std::intptr_t>(place) -
                                   reinterpret_cast<std::intptr_t>(&kFixedPlace));
}
const void* unpack_place(std::int32_t place) {
  return reinterpret_cast<const void*>(  // NOLINT(performance-no-int-to-ptr)
      reinterpret_cast<std::intptr_t>(&kFixedPlace) + place);
}

Access now_by(const Thread& thread, Access::Kind kind, const void* place) {
  const int index = thread.index();
  return {thread.block->launch().number,
          thread.block->index(),
          thread.block->shadow().phase,
          thread.clock.own,
          1u << index % kWarp,
          pack_place(place),
          static_cast<std::uint16_t>(index / kWarp),
          kind};
}

// --- what launches share

std::vector<std::unique_ptr<Region>>& regions() {
  static std::vector<std::unique_ptr<Region>> all;
  return all;
}

std::atomic<std::uint32_t> last_launch{0};

// Blocks on other OS threads look at the same bytes: one lock for neighbouring ones.
class Guard {
 public:
  static constexpr std::uintptr_t kBytes = 64;

  explicit Guard(std::uintptr_t address) : flag_(locks_[address / kBytes % kLocks]) {
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

// Further readers of global memory; those of shared memory are their block's.
struct GlobalReaders {
  std::mutex mutex;
  std::uint32_t launch = 0;
  Readers lists;
};
GlobalReaders& global_readers() {
  static GlobalReaders instance;
  return instance;
}

// --- findings

std::string describe(const Access& access) {
  static constexpr const char* kVerbs[] = {"",
                                           "read",
                                           "written",
                                           "accessed atomically",
                                           "target of an asynchronous copy",
                                           "written by the host"};
  const std::string who =
      access.warp == kAgent
          ? "the bulk copy"
          : "thread " + std::to_string(access.warp * kWarp + std::countr_zero(access.lanes));
  return std::string(kVerbs[access.kind]) + " by " + who + " of block " +
         std::to_string(access.block) + " at " + executor::place(unpack_place(access.place));
}

std::string target(Block& block, const void* address) {
  return block.arena().holds(address) ? block.arena().describe(block.arena().offset(address))
                                      : executor::describe_global(address);
}

// --- one cell

// What stands against an access.
struct Conflict {
  enum Kind : std::uint8_t { none, undefined, in_flight, unordered };
  Kind kind = none;
  Access before = {};
  std::size_t byte = 0;

  explicit operator bool() const { return kind != none; }
};

[[noreturn]] void fail(Thread& thread, const char* address, const Conflict& conflict,
                       const Access& now) {
  Block& block = *thread.block;
  const std::string what = target(block, address) + ": ";
  if (conflict.kind == Conflict::undefined)
    block.fail("uninitialised", what + describe(now) + ", and nothing has written it");
  if (conflict.kind == Conflict::in_flight) {
    block.fail("race", what + describe(now) + " while it is the " + describe(conflict.before) +
                           ", which has not been waited for");
  }
  Access before = conflict.before;  // one lane of those that are not ordered
  for (unsigned lanes = before.lanes; lanes != 0; lanes &= lanes - 1) {
    before.lanes = lanes & -lanes;
    if (!is_ordered(before, now, thread)) break;
  }
  block.fail("race", what + describe(before) + " and " + describe(now) +
                         ", with nothing between that orders the two");
}

// The table of further readers of one memory.
struct ReaderTable {
  Readers& lists;
  std::mutex* mutex;  // null: nobody else uses it

  std::unique_lock<std::mutex> lock() const {
    return mutex != nullptr ? std::unique_lock(*mutex) : std::unique_lock<std::mutex>();
  }
};

// A reader beside others that no write has followed.
__attribute__((noinline)) void add_reader(Cell& cell, const Access& now, const ReaderTable& table) {
  const auto lock = table.lock();
  if (cell.readers == 0 || cell.readers >= table.lists.used) cell.readers = table.lists.add();
  std::vector<Access>& list = table.lists.lists[cell.readers];
  // Those of the same block are the latest, but for what other OS threads add.
  int foreign = 0;
  for (auto other = list.rbegin(); other != list.rend() && foreign < 4; ++other) {
    if (other->block != now.block) ++foreign;
    if (other->same_epoch(now) && other->place == now.place) {
      other->lanes |= now.lanes;
      return;
    }
  }
  if (list.size() < kMostReaders) list.push_back(now);
}

__attribute__((noinline)) Conflict check_readers(const Cell& cell, const Access& now,
                                                 const Thread& thread, const ReaderTable& table) {
  const auto lock = table.lock();
  if (cell.readers < table.lists.used) {
    for (const Access& other : table.lists.lists[cell.readers]) {
      if (!is_ordered(other, now, thread)) return {Conflict::unordered, other};
    }
  }
  return {};
}

// Whether the access repeats the cell's latest one, which has been checked.
bool is_repeated(const Cell& cell, const Access& now) {
  if (cell.in_flight) return false;
  if (now.kind == Access::read)
    return cell.read.kind == Access::read && (cell.read.lanes & now.lanes) != 0 &&
           cell.read.same_epoch(now);
  return now.kind == Access::write && cell.write.kind == Access::write &&
         cell.read.kind == Access::none && cell.readers == 0 && cell.write.lanes == now.lanes &&
         cell.write.same_epoch(now);
}

Conflict check_cell(Cell& cell, const Access& now, const Thread& thread, const ReaderTable& table,
                    bool global) {
  if (cell.in_flight && (!global || cell.write.launch == now.launch))
    return {Conflict::in_flight, cell.write};
  const bool both_atomic = now.kind == Access::atomic && cell.write.kind == Access::atomic;
  if (!both_atomic && !is_ordered(cell.write, now, thread))
    return {Conflict::unordered, cell.write};
  if (now.kind == Access::read) {
    if (is_ordered(cell.read, now, thread)) {
      cell.read = now;
    } else if (cell.read.same_epoch(now) && cell.read.place == now.place) {
      cell.read.lanes |= now.lanes;
    } else {
      add_reader(cell, now, table);
    }
    return {};
  }
  // A write, plain or atomic: after every read.
  if (!is_ordered(cell.read, now, thread)) return {Conflict::unordered, cell.read};
  if (cell.readers != 0) {
    if (const Conflict conflict = check_readers(cell, now, thread, table)) return conflict;
    cell.readers = 0;
  }
  cell.write = now;
  cell.read = {};
  return {};
}

// --- words and their parts

// From now on the word has a cell for each `width` bytes.
void split(Cells& cells, std::size_t word, unsigned width, const ReaderTable& table) {
  const unsigned old = cells[word].width;
  for (unsigned part = width; part < 4; part += width) {
    if (part % old == 0) continue;
    Cell& cell = cells[word + part];
    cell = cells[word + part / old * old];
    if (cell.readers == 0) continue;
    const auto lock = table.lock();
    if (cell.readers >= table.lists.used) {
      cell.readers = 0;
      continue;
    }
    const std::uint32_t copied = table.lists.add();
    table.lists.lists[copied] = table.lists.lists[cell.readers];
    cell.readers = copied;
  }
  cells[word].width = static_cast<std::uint8_t>(width);
}

// Bytes [begin, end) of the word are accessed: the number of bytes of each of its cells, none of
// which lies on the border.
unsigned part_width(Cells& cells, std::size_t word, std::size_t begin, std::size_t end,
                    const ReaderTable& table) {
  Cell& head = cells[word];
  if (head.width == 0) head.width = 4;
  const unsigned most = begin == word && end >= word + 4                      ? 4
                        : begin % 2 == 0 && (end >= word + 4 || end % 2 == 0) ? 2
                                                                              : 1;
  if (head.width > most) split(cells, word, most, table);
  return head.width;
}

// Checks an access to bytes [begin, end); `refresh` makes a cell forget what no longer counts, and
// says whether its bytes have a value.
template <class F>
Conflict check_range(Cells& cells, std::size_t begin, std::size_t end, const Access& now,
                     const Thread& thread, const ReaderTable& table, bool global,
                     const F& refresh) {
  for (std::size_t i = begin; i < end;) {
    const std::size_t word = i & ~std::size_t{3};
    const unsigned width = part_width(cells, word, i, end, table);
    const std::size_t stop = std::min(end, word + 4);
    const bool replaces = i == word && stop == word + 4 && now.kind != Access::read;
    for (; i < stop; i += width) {
      Cell& cell = cells[i];
      if (is_repeated(cell, now)) continue;
      const bool defined = refresh(cell);
      if (!defined && (now.kind == Access::read || now.kind == Access::atomic))
        return {Conflict::undefined, {}, i};
      Conflict conflict = check_cell(cell, now, thread, table, global);
      if (conflict) {
        conflict.byte = i;
        return conflict;
      }
    }
    if (replaces) cells[word].width = 4;  // all have the same history now
  }
  return {};
}

void forget(Cell& cell) {
  const std::uint8_t width = cell.width;
  cell = {};
  cell.width = width;
}

// By lanes of the same warp, with the same clock, in the same place and phase.
bool joins(Access& earlier, const Thread& thread, std::uint32_t phase, std::int32_t place) {
  const int index = thread.index();
  if (earlier.kind != Access::read || earlier.phase != phase || earlier.clock != thread.clock.own ||
      earlier.warp != index / kWarp || earlier.place != place)
    return false;
  earlier.lanes |= 1u << index % kWarp;
  return true;
}

// The most frequent access by far: whole words that were written before the latest barrier are read
// by a lane after its neighbour. Such a read is checked by looking at its words, and leaves its
// lane with its neighbour's; false: it is another, or a part of it is, and nothing was decided.
bool is_plain_shared_read(const Thread& thread, BlockShadow& shadow, std::uint32_t offset,
                          int bytes, const void* where) {
  if (offset % 4 != 0 || bytes % 4 != 0) return false;
  const std::int32_t place = pack_place(where);
  for (std::uint32_t i = offset; i < offset + static_cast<std::uint32_t>(bytes); i += 4) {
    Cell& cell = shadow.cells[i];
    if (cell.width != 4 || cell.in_flight || cell.write.kind == Access::none ||
        cell.write.phase < shadow.first_phase || cell.write.phase >= shadow.phase ||
        cell.write.warp == kAgent || cell.read.phase != shadow.phase)
      return false;
    if (joins(cell.read, thread, shadow.phase, place)) continue;
    if (cell.readers == 0 ||
        !joins(shadow.readers.lists[cell.readers].back(), thread, shadow.phase, place))
      return false;
  }
  return true;
}

void access_shared(Thread& thread, const void* address, int bytes, Access::Kind kind,
                   const void* place) {
  Block& block = *thread.block;
  BlockShadow& shadow = block.shadow();
  if (kind == Access::read &&
      is_plain_shared_read(thread, shadow, block.arena().offset(address), bytes, place))
    return;
  const std::uint32_t offset = block.arena().offset(address);
  const Arena::Slot* slot = block.arena().slot_at(offset);
  const std::uint32_t end = offset + static_cast<std::uint32_t>(bytes);
  const Access now = now_by(thread, kind, place);
  if (slot == nullptr || end > slot->begin + slot->bytes) {
    block.fail("out_of_bounds",
               block.arena().describe(slot == nullptr ? offset : slot->begin + slot->bytes) + ": " +
                   describe(now));
  }
  const auto refresh = [&](Cell& cell) {
    const bool written = cell.write.kind != Access::none && cell.write.phase >= shadow.first_phase;
    if (!written) {
      forget(cell);
    } else if (cell.read.phase != shadow.phase) {
      cell.readers = 0;  // ordered, and the table has begun anew
    }
    return written;
  };
  const Conflict conflict = check_range(shadow.cells, offset, end, now, thread,
                                        {shadow.readers, nullptr}, false, refresh);
  if (conflict)
    fail(thread, static_cast<const char*>(address) + (conflict.byte - offset), conflict, now);
}

void access_global(Thread& thread, const void* address, int bytes, Access::Kind kind,
                   const void* place) {
  const Buffer* buffer = buffer_with(address, bytes);
  if (buffer == nullptr || (kind != Access::read && !buffer->writable)) {
    const Verdict verdict = check_global(address, bytes, kind != Access::read);
    if (verdict.broken.empty()) return;
    const bool is_input = verdict.broken[0] == '`';
    thread.block->fail(is_input ? "write_to_input" : "out_of_bounds",
                       verdict.broken + ": " + describe(now_by(thread, kind, place)));
  }
  if (buffer->region == nullptr) return;
  Region& region = *buffer->region;
  GlobalReaders& readers = global_readers();
  const ReaderTable table = {readers.lists, &readers.mutex};
  const Access now = now_by(thread, kind, place);
  const auto refresh = [&](Cell& cell) {
    if (cell.write.kind != Access::host && cell.write.launch <= region.filled) {
      forget(cell);
      if (region.defined) cell.write.kind = Access::host;
    }
    if (cell.readers != 0 && cell.read.launch != now.launch) cell.readers = 0;
    return cell.write.kind != Access::none;
  };
  const auto first = reinterpret_cast<std::uintptr_t>(address);
  const std::uintptr_t last = first + static_cast<std::uintptr_t>(bytes);
  for (std::uintptr_t i = first; i < last;) {
    const std::uintptr_t stop = std::min(last, (i / Guard::kBytes + 1) * Guard::kBytes);
    Conflict conflict;  // a finding leaves the fiber: the lock must be free by then
    {
      const Guard guard(i);
      conflict = check_range(region.cells, i - region.begin, stop - region.begin, now, thread,
                             table, true, refresh);
    }
    if (conflict)
      fail(thread, static_cast<const char*>(address) + (region.begin + conflict.byte - first),
           conflict, now);
    i = stop;
  }
}

}  // namespace

Cells::Cells(std::size_t bytes) : words_((bytes + 3) / 4) {
  void* memory = mmap(nullptr, 4 * words_ * sizeof(Cell), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  cells_ = static_cast<Cell*>(memory);  // zeros: no history
}

Cells::~Cells() {
  if (cells_ != nullptr) munmap(cells_, 4 * words_ * sizeof(Cell));
}

std::uint32_t Readers::add() {
  if (used == lists.size()) lists.emplace_back();
  lists[used].clear();
  return used++;
}

// --- the executor's side

void begin(Block& block) {
  begin_order(block);
  block.shadow().readers.clear();
  last_launch = block.launch().number;
  GlobalReaders& readers = global_readers();
  const std::scoped_lock lock(readers.mutex);
  if (readers.launch == last_launch) return;
  readers.launch = last_launch;
  readers.lists.clear();
}

void access(Thread& thread, const void* address, int bytes, Access::Kind kind, const void* place) {
  if (thread.block->arena().holds(address)) {
    access_shared(thread, address, bytes, kind, place);
  } else {
    access_global(thread, address, bytes, kind, place);
  }
}

void copy_begins(Thread& thread, void* to, int bytes, const void* place) {
  access_shared(thread, to, bytes, Access::copy, place);
  Cells& cells = thread.block->shadow().cells;
  const std::size_t begin = thread.block->arena().offset(to);
  const std::size_t end = begin + static_cast<std::size_t>(bytes);
  for (std::size_t i = begin; i < end; i += cells[i & ~std::size_t{3}].width)
    cells[i].in_flight = true;
}

void copy_ends(Block& block, Thread* thread, void* to, int bytes) {
  BlockShadow& shadow = block.shadow();
  const std::size_t begin = block.arena().offset(to);
  const std::size_t end = begin + static_cast<std::size_t>(bytes);
  if (thread == nullptr) ++shadow.agent;
  for (std::size_t i = begin; i < end; i += shadow.cells[i & ~std::size_t{3}].width) {
    Cell& cell = shadow.cells[i];
    cell.in_flight = false;
    cell.write.phase = shadow.phase;
    if (thread != nullptr) {
      cell.write.clock = thread->clock.own;
    } else {
      cell.write.warp = static_cast<std::uint16_t>(kAgent);
      cell.write.clock = shadow.agent;
    }
  }
}

Region* watch(void* begin, std::int64_t bytes) {
  regions().push_back(std::make_unique<Region>(reinterpret_cast<std::uintptr_t>(begin),
                                               static_cast<std::size_t>(bytes), last_launch));
  return regions().back().get();
}

void forget(Region* region) {
  auto& all = regions();
  const auto found = std::find_if(all.begin(), all.end(),
                                  [&](const auto& other) { return other.get() == region; });
  if (found != all.end()) all.erase(found);
}

void host_wrote(void* begin, std::int64_t bytes, bool defined) {
  const auto first = reinterpret_cast<std::uintptr_t>(begin),
             last = first + static_cast<std::uintptr_t>(bytes);
  GlobalReaders& readers = global_readers();
  for (const std::unique_ptr<Region>& region : regions()) {
    const std::uintptr_t from = std::max(first, region->begin), to = std::min(last, region->end);
    if (from >= to) continue;
    if (from == region->begin && to == region->end) {
      region->filled = last_launch;
      region->defined = defined;
      continue;
    }
    Cells& cells = region->cells;
    const std::size_t end = to - region->begin;
    for (std::size_t i = from - region->begin; i < end;) {
      const std::size_t word = i & ~std::size_t{3}, stop = std::min(end, word + 4);
      const unsigned width = part_width(cells, word, i, end, {readers.lists, &readers.mutex});
      for (; i < stop; i += width) {
        forget(cells[i]);
        cells[i].write.kind = defined ? Access::host : Access::none;
      }
    }
  }
}

}  // namespace assay::executor::race

#endif  // ASSAY_SIMT_RACE
