// assay selftest comparison: how often identical code is accused, and how often a slowdown is
// found, on recorded runs of this very machine.
#include <fmt/format.h>

#include <fstream>

#include "harness/cli/commands.h"
#include "harness/compare/experiment.h"
#include "harness/core/error.h"
#include "reports/jsonl.h"

namespace assay {
namespace {

// What is demanded: fewer than 1 in 1000 times and 1 in 50 files accused, 5 % found in 95 of 100.
bool is_good(const Experiment& experiment) {
  bool good = true;
  for (const FalseAlarms& alarms : experiment.false_alarms)
    if (alarms.reruns)
      good = good && alarms.comparisons >= 3000 && alarms.slower * 1000 < alarms.comparisons &&
             alarms.accused_files * 50 < alarms.files;
  for (const Detection& detection : experiment.detections)
    if (detection.reruns && detection.slowdown == 0.05)
      good = good && detection.planted > 0 && detection.found * 100 >= detection.planted * 95;
  return good;
}

}  // namespace

int selftest_comparison(const SelftestArguments& arguments) {
  if (arguments.records.empty())
    throw UsageError(
        "files of runs of identical code are wanted: `assay selftest comparison --records "
        "FILE...`; "
        "scripts/aa_experiment makes them");
  std::vector<Results> runs;
  for (const std::string& path : arguments.records) {
    runs.push_back(read_results({path}));
    require_usable(runs.back(), path);
  }
  ExperimentOptions options;
  if (!arguments.thresholds.empty()) options.thresholds = read_thresholds(arguments.thresholds);
  const Experiment experiment = run_experiment(runs, options);
  const bool good = is_good(experiment);
  const std::string text =
      str(experiment) +
      fmt::format(
          "\n{}: with suspects run again, fewer than 1 in 1000 of at least 3000 times and "
          "fewer than 1 in 50 files accused, slowdowns of 5 % found in at least 95 %.\n",
          good ? "Reached" : "Not reached");
  fmt::print("{}", text);
  if (!arguments.report.empty()) {
    std::ofstream file(arguments.report);
    file << text << std::flush;
    if (!file) throw UsageError("cannot write " + arguments.report);
  }
  return good ? kExitGood : kExitBad;
}

}  // namespace assay
