// What must hold of a kernel whatever its numbers: work is ordered by its stream, a recorded graph
// and a busy device change nothing, other contents behind the same pointers give other results, and
// no byte outside of its buffers is touched.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <set>
#include <thread>
#include <vector>

#include "harness/core/black_box.h"
#include "harness/core/error.h"
#include "harness/core/host.h"
#include "harness/core/spending.h"
#include "harness/engine/verify.h"

namespace assay {

void Verifier::verify_state(const Family& family, std::uint64_t seed) {
  const Subject subject{&family, seed};
  BufferSet& set = this->set();
  set.upload(*oracle_.inputs(problem_, family.name, seed));
  // The bits that the others must have.
  if (!run(set, kPoisons[0], schedules_.front(), subject, outputs_)) return;
  verify_stream(subject);

  const Spending spending(Expense::kernels);
  const KernelStage stage("launches as a graph, and beside other work", family.name, seed);
  const auto again = [&](const std::string& kind, const std::string& how, const auto& launch) {
    set.poison(kPoisons[1]);
    device_.synchronize();
    if (!launch()) return;
    for (Output& output : outputs_) output.take(set);
    if (repeats()) return compare_runs(kind, how, subject);
    judge_outputs(kind, subject);
  };
  try {
    again("replay", ", replayed as a graph", [&] {
      const Launch graph = device_.record({&set.launch()});
      if (!graph) return false;
      // The first replay may live on what recording left.
      graph(device_.stream());
      device_.synchronize_stream();
      set.poison(kPoisons[1]);
      graph(device_.stream());
      device_.synchronize_stream();
      return true;
    });
  } catch (const EnvironmentError& error) {
    // What a launch must not do (allocate, wait) can't be recorded.
    fail("replay", subject, error.what());
  }
  if (!run(set, kPoisons[0], schedules_.front(), subject, outputs_)) return;
  constexpr int kContended = 3;
  for (int i = 0; i < kContended; ++i) {
    again("repeat", ", beside other work", [&] {
      const std::shared_ptr<void> load = device_.contend();
      if (!load) return false;
      set.launch()(device_.stream());
      device_.synchronize_stream();
      return true;
    });
  }
}

// Work that is not in the stream runs while the stream is held, or still runs when it is done.
void Verifier::verify_stream(Subject subject) {
  constexpr std::int64_t kLooked = 1 << 20;  // bytes of each output
  constexpr auto kGrace = std::chrono::milliseconds(5);
  const Spending spending(Expense::kernels);
  const KernelStage stage("a launch while its stream is held", subject.family->name, subject.seed);
  BufferSet& set = this->set();
  set.poison(kPoisons[1]);
  device_.synchronize();
  const auto look = [&](const Output& output) {
    std::vector<std::byte> bytes(
        static_cast<std::size_t>(std::min(kLooked, output.spec().bytes())));
    set.peek({output.spec(), bytes.data()}, static_cast<std::int64_t>(bytes.size()));
    return bytes;
  };
  const auto print_of = [&](const Output& output) {
    const Spending comparing(Expense::comparison);
    return set.fingerprint(output.spec());
  };
  std::vector<std::vector<std::byte>> begins;  // as the launch finds them
  for (const Output& output : outputs_) begins.push_back(look(output));
  std::string early;
  if (std::shared_ptr<void> held = device_.hold()) {
    set.launch()(device_.stream());
    std::this_thread::sleep_for(kGrace);
    for (std::size_t i = 0; i < outputs_.size(); ++i)
      if (look(outputs_[i]) != begins[i]) early = outputs_[i].spec().name;
    held.reset();
    device_.synchronize_stream();
  } else {
    // Launches run at once here: what is written after they return is late.
    std::vector<Fingerprint> found;
    for (const Output& output : outputs_) found.push_back(print_of(output));
    const std::set<int> threads = thread_ids();
    set.launch()(device_.stream());
    const std::set<int> now = thread_ids();
    // By identity: one that an earlier launch left may end meanwhile.
    const bool left_thread = !std::includes(threads.begin(), threads.end(), now.begin(), now.end());
    set.poison(kPoisons[1]);  // again as found
    std::this_thread::sleep_for(kGrace);
    std::string late;
    for (std::size_t i = 0; i < outputs_.size(); ++i)
      if (print_of(outputs_[i]) != found[i]) late = outputs_[i].spec().name;
    if (late.empty() && !left_thread) {
      add_check("stream", subject, "");
      return;
    }
    return fail("stream", subject,
                late.empty() ? "the launch has returned and left a thread running"
                             : late + " was written after the launch had returned");
  }
  if (!early.empty()) {
    device_.synchronize();
    return fail("stream", subject,
                early +
                    " was written while the stream that the launch was given was held up: some of "
                    "the work is on another stream");
  }
  // What the stream's work left, against what all work left.
  for (Output& output : outputs_) output.take(set);
  device_.synchronize();
  for (Output& output : outputs_) output.take(set);
  compare_runs("stream", " after the stream was done", subject);
}

void Verifier::verify_timed(BufferSet& set, const Family& family, std::uint64_t seed) {
  for (Output& output : outputs_) output.take(set);
  judge_outputs("after_timing", {&family, seed});
  launch_as_timed("after_timing", set, {&family, seed});
}

void Verifier::verify_fresh(BufferSet& set, const Family& family, std::uint64_t seed) {
  set.upload(*oracle_.inputs(problem_, family.name, seed));
  launch_as_timed("fresh", set, {&family, seed});
}

void Verifier::launch_as_timed(const std::string& kind, BufferSet& set, Subject subject) {
  const Spending spending(Expense::kernels);
  const KernelStage stage("a launch that is timed", subject.family->name, subject.seed);
  set.poison(kPoisons[0]);
  device_.synchronize();
  device_.time({{&set.launch()}});
  device_.synchronize();
  for (Output& output : outputs_) output.take(set);
  judge_outputs(kind, subject);
}

void Verifier::verify_fences(const Family& family, std::uint64_t seed) {
  if (!device_.has_fences()) return;
  const Subject subject{&family, seed};
  for (const Fence side : {Fence::after, Fence::before}) {
    BufferSet set(device_, variant_, problem_, {.fence = side});
    set.upload(*oracle_.inputs(problem_, family.name, seed));
    try {
      if (!run(set, kPoisons[0], schedules_.front(), subject, outputs_, kFence)) return;
    } catch (const DeviceLost& lost) {
      device_.lose(lost.what());
      Check& check = add_check(kFence, subject, "");
      check.status = Status::crashed;
      check.reason = std::string(lost.what()) + ", only where nothing is mapped " +
                     (side == Fence::after ? "after" : "before") + " each tensor";
      return;
    }
    judge_outputs(kFence, subject);
  }
}

}  // namespace assay
