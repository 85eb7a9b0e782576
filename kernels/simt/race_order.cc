// What is ordered before what: see race_order.h.
#include "kernels/simt/race_order.h"

#if ASSAY_SIMT_RACE

#include <algorithm>
#include <bit>
#include <mutex>
#include <unordered_map>

#include "kernels/simt/block.h"
#include "kernels/simt/launch.h"

namespace assay::executor::race {
namespace {

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

std::mutex sync_mutex;
std::uint32_t sync_launch = 0;
std::unordered_map<const void*, Knowledge>& sync_objects() {  // released through atomic accesses
  static std::unordered_map<const void*, Knowledge> all;
  return all;
}

// Whether all threads of `before` are covered; `of`: maps a thread to whether it is.
template <class F>
bool all_threads(const Access& before, const F& of) {
  for (unsigned lanes = before.lanes; lanes != 0; lanes &= lanes - 1) {
    if (!of(before.warp * kWarp + std::countr_zero(lanes))) return false;
  }
  return true;
}

}  // namespace

bool is_ordered_slowly(const Access& before, const Thread& now) {
  const BlockShadow& shadow = now.block->shadow();
  const Knowledge& mine = now.clock.knowledge;
  if (before.block == now.block->index()) {
    if (before.warp == kAgent) return mine.agent >= before.clock;
    return all_threads(before, [&](int thread) {
      return thread == now.index() || covers(mine.own, before.phase, thread, before.clock);
    });
  }
  for (const Knowledge* knowledge : {&mine, &shadow.elsewhere}) {
    const auto known = knowledge->elsewhere.find(before.block);
    if (known != knowledge->elsewhere.end() && all_threads(before, [&](int thread) {
          return covers(known->second, before.phase, thread, before.clock);
        }))
      return true;
  }
  return false;
}

void begin(Thread& thread) {
  Clock& clock = thread.clock;
  if (clock.is_plain) {
    clock.own = 1;
    clock.knowledge.agent = 0;
  } else {
    clock = {};
  }
  clock.knowledge.block = thread.block->index();
}

void begin_order(Block& block) {
  BlockShadow& shadow = block.shadow();
  shadow.first_phase = ++shadow.phase;
  shadow.elsewhere = {};
  shadow.elsewhere.block = block.index();
  shadow.agent = 0;
}

void release(Thread& thread, Knowledge& to) {
  join(to, snapshot(thread));
  ++thread.clock.own;
}

void acquire(Thread& thread, const Knowledge& from) {
  thread.clock.is_plain = false;
  join(thread.clock.knowledge, from);
}

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
  Clock& clock = thread.clock;
  if (acquires) {
    acquire(thread, known->second);
  } else {
    clock.is_plain = false;
    join(clock.pending, known->second);
    clock.has_pending = true;
  }
}

void fence(Thread& thread) {
  Clock& clock = thread.clock;
  clock.is_plain = false;
  if (clock.has_pending) acquire(thread, clock.pending);
  clock.pending = {};
  clock.has_pending = false;
  clock.released = {};
  release(thread, clock.released);
  clock.has_released = true;
}

}  // namespace assay::executor::race

#endif  // ASSAY_SIMT_RACE
