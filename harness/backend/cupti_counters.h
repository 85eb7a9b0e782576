// The hardware's counters over single kernels, by CUPTI's range profiler: a range for each kernel,
// which is replayed where one pass does not hold all counters.
#pragma once

#include <string>
#include <vector>

#include "harness/backend/backend.h"

namespace assay {

// See Device::count. `device` is CUDA's index; its context must be current.
std::vector<CountedKernel> cupti_count(int device, const std::vector<TimedLaunch>& launches,
                                       Stream stream, const std::vector<std::string>& names,
                                       std::string& why_not);

// Throws UsageError for the first of the names that CUDA's device does not have; does nothing where
// CUPTI is missing.
void cupti_require(int device, const std::vector<std::string>& names);

// Counters of `chip` ("GH100") in groups that one pass each holds, in the order of `names`. A
// counter that needs several passes is a group alone. Throws UsageError for a name that the chip
// does not have. Needs CUPTI, and no GPU.
std::vector<std::vector<std::string>> cupti_groups(const std::string& chip,
                                                   const std::vector<std::string>& names);

}  // namespace assay
