#include "kernels/simt/block.h"

#include <algorithm>
#include <bit>

#include "harness/core/parallel.h"
#include "kernels/simt/finding.h"
#include "kernels/simt/launch.h"

// For debuggers: whose turn it is, where all blocks run on one OS thread. Breakpoints can have it
// as a condition.
assay::executor::Position assay_here;

namespace assay::executor {

constinit thread_local Thread* current = nullptr;

// --- ReadySet

void ReadySet::insert(int thread) {
  words_[thread / 64] |= std::uint64_t{1} << thread % 64;
  occupied_ |= 1u << thread / 64;
}

void ReadySet::insert(int first, std::uint32_t lanes) {
  if (lanes == 0) return;
  words_[first / 64] |= std::uint64_t{lanes} << first % 64;
  occupied_ |= 1u << first / 64;
}

void ReadySet::erase(int thread) {
  words_[thread / 64] &= ~(std::uint64_t{1} << thread % 64);
  if (words_[thread / 64] == 0) occupied_ &= ~(1u << thread / 64);
}

int ReadySet::next(int from) const {
  if (from >= kMaxThreads) return -1;
  const int word = from / 64;
  if (const std::uint64_t rest = words_[word] >> from % 64) return from + std::countr_zero(rest);
  const std::uint32_t later = word + 1 < 32 ? occupied_ >> (word + 1) << (word + 1) : 0;
  if (later == 0) return -1;
  const int found = std::countr_zero(later);
  return found * 64 + std::countr_zero(words_[found]);
}

int ReadySet::previous(int from) const {
  if (from < 0) return -1;
  const int word = from / 64;
  if (const std::uint64_t rest = words_[word] << (63 - from % 64))
    return from - std::countl_zero(rest);
  const std::uint32_t earlier = occupied_ & ((1u << word) - 1);
  if (earlier == 0) return -1;
  const int found = 31 - std::countl_zero(earlier);
  return found * 64 + 63 - std::countl_zero(words_[found]);
}

// --- Block

void Block::begin(Launch& launch, std::int64_t index, Progress& progress) {
  launch_ = &launch;
  progress_ = &progress;
  index_ = static_cast<int>(index);
  threads_ = static_cast<int>(launch.shape.threads);
  left_ = threads_;
  polling_ = 0;
  random_ = launch.seed * 0x9e3779b97f4a7c15u +
            static_cast<std::uint64_t>(index) * 0xd1342543de82ef95u + 1;
  ready_.clear();
  arena_.reset();
  if (launch.shape.shared_bytes > 0) {
    arena_.allocate(nullptr, static_cast<std::size_t>(launch.shape.shared_bytes), 1024);
  }
  mbarriers.clear();
  bulk_copies.clear();
  for (BlockBarrier& barrier : barriers_) {
    barrier.arrived = 0;
    barrier.waiting.clear();
    barrier.knowledge = {};
  }
  warps_.resize(static_cast<std::size_t>((threads_ + kWarp - 1) / kWarp));
  for (std::vector<Rendezvous>& pending : warps_) pending.clear();
  starved_ = static_cast<int>(random() % warps_.size());
  race::begin(*this);
  if (static_cast<int>(all_.size()) < threads_) all_.resize(static_cast<std::size_t>(threads_));
  for (int i = 0; i < threads_; ++i) {
    Thread& thread = all_[static_cast<std::size_t>(i)];
    thread.position = {i, index_, threads_, static_cast<int>(launch.shape.blocks),
                       static_cast<int>(launch.shape.cluster)};
    thread.block = this;
    thread.state = State::ready;
    thread.copies.clear();
    thread.group = 0;
    thread.barrier = nullptr;
    thread.rounds = 0;
    thread.fiber.reset(enter);
    race::begin(thread);
    ready_.insert(i);
  }
}

inline void Block::take_turn(Thread* thread) {
  static const bool alone = num_threads() == 1;
  current = thread;
  if (alone && thread != nullptr) assay_here = thread->position;
}

void Block::enter(Fiber&) {
  Thread& self = *current;
  const Kernel& kernel = *self.block->launch().kernel;
  kernel.call(kernel.arguments);
  self.block->leave(self);
}

namespace {
// By what lands in shared memory while no thread has its turn: the worker's own stack goes back to
// run().
struct FoundBetweenTurns {};
}  // namespace

Block::Outcome Block::run(Fiber& worker) {
  worker_ = &worker;
  if (polling_ > 0) {
    for (int i = 0; i < threads_; ++i) {
      if (thread(i).state == State::polling) wake(i);
    }
  }
  outcome_ = Outcome::stopped;
  try {
    if (Thread* next = pick()) {
      take_turn(next);
      next->fiber.resume(worker);
      take_turn(nullptr);
    }
  } catch (const FoundBetweenTurns&) {
    outcome_ = Outcome::stopped;
  }
  return outcome_;
}

std::uint64_t Block::random() {
  random_ ^= random_ << 13;
  random_ ^= random_ >> 7;
  random_ ^= random_ << 17;
  return random_ >> 11;
}

// The next thread to run, taken from the ready ones. None: the outcome says why.
[[gnu::always_inline]] inline Thread* Block::pick() {
  if (launch_->stop.load(std::memory_order_relaxed)) {
    outcome_ = Outcome::stopped;
    return nullptr;
  }
  if (cluster() != nullptr) take_mail();
  if (!bulk_copies.empty()) maybe_land_bulk();
  if (ready_.empty()) {
    outcome_ = left_ == 0 ? Outcome::done : Outcome::polling;
    return nullptr;
  }
  int chosen = -1;
  switch (launch_->schedule) {
    case Schedule::ascending:
      chosen = ready_.next(0);
      break;
    case Schedule::descending:
      chosen = ready_.previous(kMaxThreads - 1);
      break;
    case Schedule::random:
      chosen = ready_.next(static_cast<int>(random() % static_cast<std::uint64_t>(threads_)));
      if (chosen < 0) chosen = ready_.next(0);
      break;
    case Schedule::starve:
      chosen = ready_.next(0);
      if (chosen / kWarp == starved_) {
        const int other = ready_.next((starved_ + 1) * kWarp);
        if (other >= 0) chosen = other;
      }
      break;
  }
  ready_.erase(chosen);
  return &thread(chosen);
}

void Block::suspend(State state, const char* operation, const void* place) {
  Thread& self = *current;
  self.state = state;
  self.operation = operation;
  self.place = place;
  if (state == State::ready) ready_.insert(self.index());
  if (state == State::polling) ++polling_;
  Thread* next = pick();
  if (next == nullptr && outcome_ == Outcome::polling && polling_ == 0 && cluster() == nullptr) {
    fail("divergence",
         "no thread of block " + std::to_string(index_) + " can go on:\n" + whereabouts());
  }
  if (next == nullptr) {
    give_back();
  } else if (next != &self) {
    take_turn(next);
    next->fiber.resume(self.fiber);
  }
}

void Block::give_back() {
  Thread& self = *current;
  take_turn(nullptr);
  worker_->resume(self.fiber);
}

void Block::wake(int index) {
  Thread& woken = thread(index);
  if (woken.state == State::polling) --polling_;
  woken.state = State::ready;
  ready_.insert(index);
}

void Block::wake_lanes(int first, unsigned lanes) {
  ready_.insert(first, lanes);
  for (; lanes != 0; lanes &= lanes - 1) {
    thread(first + std::countr_zero(lanes)).state = State::ready;
  }
}

void Block::leave(Thread& self) {
  self.state = State::done;
  --left_;
  progress_->step();
  // Whoever waits for this thread waits forever.
  const auto here = [&](const char* operation, const void* place, int waiting) {
    fail("divergence", "thread " + std::to_string(self.index()) + " of block " +
                           std::to_string(index_) + " has returned while thread " +
                           std::to_string(waiting) + " waits for it in " + operation + " at " +
                           executor::place(place) + ":\n" + whereabouts());
  };
  if (barriers_[0].arrived > 0) here("sync_threads", barriers_[0].place, barriers_[0].first);
  for (const Rendezvous& met : warps_[static_cast<std::size_t>(self.index() / kWarp)]) {
    if (met.mask >> self.index() % kWarp & 1u) here(met.operation, met.place, met.first);
  }
  Thread* next = pick();
  if (next == nullptr && outcome_ == Outcome::polling && polling_ == 0 && cluster() == nullptr) {
    fail("divergence",
         "no thread of block " + std::to_string(index_) + " can go on:\n" + whereabouts());
  }
  if (next == nullptr && outcome_ == Outcome::done) {
    if (cluster() != nullptr) leave_cluster();
    if (const std::int64_t at = arena_.overwritten(); at >= 0) {
      fail("out_of_bounds", "block " + std::to_string(index_) + " wrote " +
                                arena_.describe(static_cast<std::uint32_t>(at)) +
                                "; the address and race builds say where");
    }
  }
  if (next == nullptr) {
    take_turn(nullptr);
    worker_->resume_after(self.fiber);
  } else {
    take_turn(next);
    next->fiber.resume_after(self.fiber);
  }
  __builtin_unreachable();
}

void Block::fail(const std::string& kind, const std::string& text) {
  launch_->report(kind, text);
  outcome_ = Outcome::stopped;
  if (current == nullptr) throw FoundBetweenTurns();
  give_back();
  __builtin_unreachable();
}

std::string Block::thread_name(int index) const {
  return "block " + std::to_string(index_) + ", thread " + std::to_string(index);
}

std::string Block::whereabouts() {
  // Threads next to each other in the same place share a line.
  std::string text;
  const auto where = [&](int i) {
    const Thread& t = thread(i);
    switch (t.state) {
      case State::done:
        return std::string("have returned");
      case State::ready:
        return std::string("could run");
      default:
        break;
    }
    std::string line = std::string(t.state == State::polling ? "poll in " : "wait in ") +
                       t.operation + " at " + executor::place(t.place);
    if (t.barrier != nullptr && mbarriers.count(t.barrier) > 0) {
      line += ", " + arena_.describe(arena_.offset(t.barrier)) + ", parity " +
              std::to_string(t.parity) + ": " + describe(mbarriers.at(t.barrier));
    }
    return line;
  };
  for (int begin = 0; begin < threads_;) {
    const std::string line = where(begin);
    int end = begin + 1;
    while (end < threads_ && where(end) == line) ++end;
    const auto lanes = [&] {
      const std::string warps =
          begin / kWarp == (end - 1) / kWarp
              ? "warp " + std::to_string(begin / kWarp)
              : "warps " + std::to_string(begin / kWarp) + "-" + std::to_string((end - 1) / kWarp);
      return warps + " (threads " + std::to_string(begin) + "-" + std::to_string(end - 1) + ")";
    };
    text += (text.empty() ? "  " : "\n  ") + lanes() + " " + line;
    begin = end;
  }
  return text;
}

// --- what wrappers call

void* shared_variable(const SharedVariable& variable) {
  Block& block = *current->block;
  if (char* memory = block.arena().find(&variable)) return memory;
  const Launch& launch = block.launch();
  const std::int64_t bytes = static_cast<std::int64_t>(variable.bytes);
  const std::int64_t fixed = block.arena().used() - launch.shape.shared_bytes + bytes;
  if (fixed > 48 << 10) {
    block.fail("refused", "`" + std::string(variable.name) +
                              "` brings the kernel's shared variables to " + std::to_string(fixed) +
                              " bytes, and no kernel may declare more than 49152");
  }
  const std::int64_t most = launch.raised ? settings().device.shared_per_block : 48 << 10;
  if (fixed + launch.shape.shared_bytes > most) {
    block.fail("refused", "shared variables of " + std::to_string(fixed) + " bytes and " +
                              std::to_string(launch.shape.shared_bytes) +
                              " dynamic ones: a block of this device has at most " +
                              std::to_string(most) +
                              (launch.raised ? "" : " without allow_shared"));
  }
  return block.arena().allocate(&variable, variable.bytes,
                                std::max<std::size_t>(variable.alignment, 16));
}

void* dynamic_shared(std::size_t offset) {
  Block& block = *current->block;
  char* memory = block.arena().find(nullptr);
  if (memory == nullptr) {
    block.fail("out_of_bounds", block.thread_name(current->index()) +
                                    " uses dynamic shared memory, but the launch has none, at " +
                                    place(__builtin_return_address(0)));
  }
  return memory + offset;
}

void misaligned(const void* address, int bytes) {
  Block& block = *current->block;
  const std::string where = block.arena().holds(address)
                                ? block.arena().describe(block.arena().offset(address))
                                : "global memory";
  block.fail("misaligned", block.thread_name(current->index()) + " accesses " +
                               std::to_string(bytes) +
                               " bytes at an address that is not a multiple of that (" + where +
                               ") at " + place(__builtin_return_address(0)));
}

void pause() { current->block->suspend(State::polling, "pause", __builtin_return_address(0)); }

}  // namespace assay::executor
