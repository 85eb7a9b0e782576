// Baselines: per device, the results that new ones are compared with. They are files of records as
// any other, kept under the device's name, and replaced as a whole.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "reports/results.h"

namespace assay {

inline constexpr const char* kBaselineFolder = "reports/baselines";

// FOLDER/nvidia-h100-80gb-hbm3.jsonl
std::string baseline_path(const std::string& folder, std::string_view device);

struct Baselines {
  Results results;
  std::vector<std::string> files;    // that were read
  std::vector<std::string> without;  // devices of which there is none
};

// Those of the devices of some results. Throws UsageError where there is none at all, or where a
// file holds another device than its name says.
Baselines read_baselines(const std::string& folder, const Results& of);

// Replaces the baseline of one device by the records of it, with their environments and samples;
// returns the path. Either the old file is there, or the new one. Throws EnvironmentError where it
// can't be written.
std::string write_baseline(const std::string& folder, const std::string& device,
                           const Results& results);

}  // namespace assay
