// The experiment that shows what a comparison is worth: runs of identical code, all pairs of them
// compared. What is accused, is accused falsely; and slowdowns that are planted on the recorded
// samples must be found.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "harness/compare/thresholds.h"
#include "reports/results.h"

namespace assay {

struct ExperimentOptions {
  Thresholds thresholds;
  std::vector<double> slowdowns = {0.02, 0.03, 0.05, 0.10};
  double least_seconds = 20e-6;  // of a median, for slowdowns to be planted on
  int every = 8;  // plant on each eighth case, another eighth for the next pair of runs
};

struct Detection {
  double slowdown = 0;
  bool reruns = false;
  std::int64_t planted = 0, found = 0;
  std::int64_t accused = 0, innocent = 0;  // beside the planted ones
};

struct FalseAlarms {
  bool reruns = false;
  std::int64_t comparisons = 0, slower = 0, faster = 0, same = 0, unclear = 0;
  std::int64_t files = 0, accused_files = 0;  // files with at least one time called slower
};

// How much the medians of one case differ between the runs.
struct Scatter {
  std::string id, problem, cache;
  double median = 0;      // seconds
  double run_to_run = 0;  // standard deviation of the medians' logarithms, by their quartiles
  double within = 0;      // what the samples of one run let expect of it
  double range = 0;       // largest over smallest median, less 1
};

struct Experiment {
  std::vector<std::string> devices;
  std::vector<std::string> commits;
  std::size_t runs = 0;
  std::vector<FalseAlarms> false_alarms;  // without and with re-runs
  std::vector<Detection> detections;
  std::vector<Scatter> scatter;
};

// Suspects are re-run by taking further runs of the same code, in turn for either side where there
// are enough. Throws UsageError for fewer than three runs, or runs of several commits.
Experiment run_experiment(const std::vector<Results>& runs, const ExperimentOptions& options);

// As markdown.
std::string str(const Experiment& experiment);

}  // namespace assay
