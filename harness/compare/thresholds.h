// What a comparison calls a change, as read from a small TOML file. reports/thresholds.toml holds
// the defaults, with the reasons for them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace assay {

struct TimeThresholds {
  double effect = 0.01;       // a relative change up to this is never accused
  double same_within = 0.03;  // "same" once a larger change is excluded
  // Standard deviation by which the medians of two runs of the same code differ from each other's
  // mean, beside what the samples of a run show: a share of the time, and seconds.
  double run_to_run = 0.004;
  double run_to_run_seconds = 1e-7;

  bool operator==(const TimeThresholds&) const = default;
};

struct Thresholds {
  double false_discovery_rate = 0.01;  // over the whole file
  double confidence = 0.95;            // of the intervals that are shown
  int reruns = 3;                      // of a suspect, where the binary is at hand
  bool missing_is_regression = false;
  double utilisation_factor = 1.5;
  double utilisation_floor = 0.05;  // up to which a larger utilisation is no finding
  double error_factor = 1.5;        // of the rms error
  double clock_within = 0.02;       // SM clocks that differ by more make a time unclear

  // For cases whose id (attnres_fwd/fused@cuda) or bare name (fused@cuda) matches; the last that
  // does decides.
  struct For {
    std::string cases;
    TimeThresholds time;

    bool operator==(const For&) const = default;
  };
  TimeThresholds time;
  std::vector<For> overrides = {{"*@cpu", {.run_to_run = 0.1, .run_to_run_seconds = 1e-6}}};

  bool operator==(const Thresholds&) const = default;
  const TimeThresholds& for_case(std::string_view id) const;
};

// Throws UsageError that names file, line and what would be right.
Thresholds read_thresholds(const std::string& path);
Thresholds parse_thresholds(const std::string& text, const std::string& path);

}  // namespace assay
