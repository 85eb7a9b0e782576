#include "harness/engine/runner.h"

#include <exception>

#include "harness/core/host.h"

namespace assay {

InProcess::InProcess() : oracle_(available_memory()) {}

Record InProcess::run(const Job& job, const RunOptions& options) {
  auto& device = devices_[{job.device->backend, job.device->index}];
  try {
    if (!device) device = find_platform(job.device->backend)->open(job.device->index);
  } catch (const std::exception& error) {
    Record record = begin_record(job, options);
    record.reason = error.what();
    return record;
  }
  RunOptions each = options;
  each.verify.twins = &twins_;
  return run_case({job.problem, job.variant, device.get()}, oracle_, each);
}

}  // namespace assay
