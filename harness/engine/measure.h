// Measures a verified variant: its time in each cache state, its kernels by a second clock, the
// hardware's counters.
#pragma once

#include <string>
#include <vector>

#include "harness/core/record.h"
#include "harness/engine/limits.h"
#include "harness/engine/rotation.h"
#include "harness/engine/sampler.h"

namespace assay {

struct MeasureOptions {
  SamplingRule sampling;
  std::string caches = "cold,hot,graph";  // in which states
  bool trace = true;                      // ask the second clock, where there is one
  std::string counters;                   // names, separated by commas; empty: none
};

// Throws UsageError for a state that there is not, or none.
std::vector<std::string> split_caches(const std::string& caches);

// Names without the commas between them. Throws UsageError for one that one of the devices does
// not have.
std::vector<std::string> split_counters(const std::string& names,
                                        const std::vector<DeviceInfo>& devices);

// What `--counters` counts unless it is told: bytes of the memory, hits of the cache, use of the
// tensor cores, occupancy.
std::string usual_counters();

// Times the case in each cache state. Appends to the record's measurements and notes.
void measure(const Problem& problem, Rotation& rotation, Device& device, Limits& limits,
             const MeasureOptions& options, Record& record);

// What further launches show: times by the second clock, which it adds to the cold measurement, and
// counters. They leave no buffers to be judged: the last set that was timed may have been restored
// for a launch that never came.
void observe(Rotation& rotation, Device& device, const MeasureOptions& options, Record& record);

}  // namespace assay
