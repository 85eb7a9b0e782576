// CUPTI's activity records as a second clock: begin and end of every kernel, copy and fill of a
// launch, as the device itself notes them.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "harness/backend/backend.h"

namespace assay {

// See Device::trace. While the result of hold() lives, the stream waits.
std::vector<TracedLaunch> cupti_trace(const std::vector<TimedLaunch>& launches, Stream stream,
                                      const std::function<std::shared_ptr<void>()>& hold,
                                      std::string& why_not);

}  // namespace assay
