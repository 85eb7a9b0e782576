// Verification of one variant on one problem: every element of every output against the oracle's
// interval, on inputs chosen to make wrong kernels leave it, and what else must hold of a kernel
// whatever its numbers: of memory, of repeated runs, of streams. Each question asked becomes a
// Check; a failed one does not keep the others from being asked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "harness/backend/backend.h"
#include "harness/core/record.h"
#include "harness/engine/buffers.h"
#include "harness/engine/interval.h"
#include "harness/engine/judge.h"
#include "harness/engine/oracle.h"
#include "harness/engine/output.h"

namespace assay {

// What the cuda and simt builds of one source have written for the same inputs, kept while a sweep
// stays with one problem, so that the second to run can be compared with the first.
struct TwinOutputs {
  // Bytes of an output up to which it is kept: more take simt, at a microsecond for each element
  // of the inputs, longer than anybody waits.
  static constexpr std::int64_t kMost = 64 << 20;
  std::string problem;
  std::map<std::string, std::vector<std::byte>> outputs;  // by variant, family, seed and output
};

// The check, and the stage of a process that does not survive it.
inline constexpr const char* kFence = "fence";

struct VerifyOptions {
  Execution execution;           // an empty schedule: all that the device has, in turn
  bool has_twins = false;        // cuda and simt are both in the sweep: what run_sweep says
  TwinOutputs* twins = nullptr;  // where outputs are kept to be compared, if they are
  // Elements of all tensors of a problem up to which the host judges, whatever the device can: it
  // needs small outputs anyway, for the bias test.
  std::int64_t judged_by_host = 1 << 20;
  std::string dump;  // folder for inputs and outputs as .npy; empty: none
};

class Verifier {
 public:
  Verifier(const Problem& problem, const Variant& variant, Device& device, Oracle& oracle,
           VerifyOptions options = {});
  ~Verifier();
  Verifier(const Verifier&) = delete;
  Verifier& operator=(const Verifier&) = delete;

  // Runs `runs` times (at least 2) on the inputs of (family, seed), over outputs, workspace and
  // surroundings filled by turns with NaN and with large finite values. Schedules are dealt out
  // among the runs, by turns with the seed: four runs of a case take each once. The first run is
  // judged element by element; the others must repeat its bits, or, where the variant declares
  // itself order-dependent, are judged as well. A KernelFault is a failed check of that kind, and
  // ends the family.
  void verify(const Family& family, std::uint64_t seed, std::size_t runs = 2);

  // Each on the inputs of (family, seed), relations that are for other families on those.
  void verify_relations(const Family& usual, std::uint64_t seed);
  void verify_batch(const Family& family, std::uint64_t seed);
  void verify_state(const Family& family, std::uint64_t seed);  // stream, graph, contention
  // Ends the process where a kernel leaves its buffers: call it last, and where that may happen.
  void verify_fences(const Family& family, std::uint64_t seed);

  // Judges what the outputs of a set hold now, after timing on the inputs of (family, seed), and
  // once more after they were poisoned: what has been computed before must be computed again.
  void verify_timed(BufferSet& set, const Family& family, std::uint64_t seed);
  // Other inputs behind the same pointers, run the way it is timed.
  void verify_fresh(BufferSet& set, const Family& family, std::uint64_t seed);

  // Over all that was judged; see Judge.
  void judge_power() { add_checks(judge_.judge_power()); }
  void judge_bias() { add_checks(judge_.judge_bias()); }
  // At the end: that no reference in device memory was written over meanwhile.
  void judge_references();

  // The set that all runs but the derived and the misplaced ones share.
  BufferSet& set();

  std::vector<Check>& checks() { return checks_; }
  bool passed() const;

 private:
  // Composites (verify_steps.cc). Each step on the inputs that the steps before it left, judged
  // against its own op's interval; what they leave in the outputs is then expected of all launches
  // of the whole, to the bit. False: a step can't be run.
  bool run_steps(BufferSet& set, Subject subject);
  // That the steps, in exact arithmetic, are the op: on a problem of the same schedule.
  void verify_schedule(const Family& family, std::uint64_t seed);
  std::shared_ptr<const std::vector<Expected>> expected_of_steps(Subject subject) const;

  // Where large outputs are judged; null: on the host. Of the case; and of any problem, beside so
  // many bytes of buffers, if its reference has no more than `most` bytes.
  Device* judging_device() const;
  Device* judging_device(const Problem& problem, std::int64_t sets, std::int64_t most) const;
  void upload(BufferSet& set, const Inputs& inputs, Subject subject);
  bool run(BufferSet& set, unsigned char poison, const std::string& schedule, Subject subject,
           Outputs& outputs, const std::string& kind_of_wrong_memory = "guards");
  void judge_outputs(const std::string& kind, Subject subject);
  void compare_twins(Subject subject);
  // The bits of the last run against those of the run before.
  void compare_runs(const std::string& kind, const std::string& how, Subject subject);
  void verify_isolation(BufferSet& set, Subject subject);
  void verify_stream(Subject subject);
  void launch_as_timed(const std::string& kind, BufferSet& set, Subject subject);
  void dump(Subject subject);
  Check& add_check(const std::string& kind, Subject subject, const std::string& output);
  bool add_checks(std::vector<Check> checks);  // whether all of them passed
  void fail(const std::string& kind, Subject subject, const std::string& reason);
  const std::string& deal_schedule(std::uint64_t seed);
  bool repeats() const { return variant_.repeatability != Repeatability::order_dependent; }

  const Op& op_;
  const Problem& problem_;
  const Variant& variant_;
  Device& device_;
  Oracle& oracle_;
  VerifyOptions options_;
  std::vector<std::string> schedules_;  // one empty name where the device has no choice
  std::size_t dealt_ = 0;               // schedules so far
  std::optional<BufferSet> set_;
  Outputs outputs_;
  Judge judge_;
  std::map<std::pair<std::string, std::uint64_t>, std::shared_ptr<const std::vector<Expected>>>
      from_steps_;  // by family and seed
  bool dumped_ = false;
  bool hung_ = false;  // once is enough: nothing else is run
  std::vector<Check> checks_;
};

}  // namespace assay
