// A sweep: which cases a set of problems means on this machine, and running them one after the
// other.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "harness/backend/backend.h"
#include "harness/engine/runner.h"

namespace assay {

// Which variants on which devices. A glob is over full ids, bare names and names; with
// "[configuration]" after the name, itself a glob, over the configurations that are tuned:
// "fused[rows=*]@cuda", "*[*]". What is called auto (choice_table.h) is meant only where a glob
// says "auto".
struct Selection {
  std::vector<std::string> globs = {"*"};
  std::vector<Backend> backends;  // empty: every one that has a device here
  int device = -1;                // index on the backends that have several; -1: the first
  std::vector<std::filesystem::path> tables;  // folders of choice tables
};

struct Plan {
  std::vector<Job> jobs;  // problem by problem, so that variants share references
  std::vector<DeviceInfo> devices;
};

// One device of a backend; negative: its first. Throws UsageError where there is none.
DeviceInfo choose_device(Backend backend, int index);

// Pairs every problem with every selected variant. Throws UsageError for a
// glob without a variant, a backend or device that is not there, or when nothing matches: an empty
// sweep must not look like a success.
Plan make_plan(const std::vector<Problem>& problems, const Selection& selection);

class Observer {
 public:
  virtual ~Observer() = default;
  virtual void begin_case(const Job& job, std::size_t index) = 0;
  virtual void end_case(const Record& record, std::size_t index) = 0;
};

// Runs the cases in order; each record is handed over as soon as it exists.
void run_sweep(const Plan& plan, const RunOptions& options, Runner& runner, Observer& observer);

}  // namespace assay
