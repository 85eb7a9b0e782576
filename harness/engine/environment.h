// The Environment of a run: what a reader of its numbers needs to know of where they come from.
#pragma once

#include <string>
#include <vector>

#include "harness/backend/backend.h"
#include "harness/core/record.h"

namespace assay {

// Build, host, devices, command line and date. No host name; absolute paths in `arguments` are cut
// to their last part.
Environment describe_environment(const std::vector<std::string>& arguments,
                                 const std::vector<DeviceInfo>& devices);

}  // namespace assay
