#include "harness/engine/runner.h"

#include <algorithm>
#include <exception>
#include <string_view>

#include "harness/core/host.h"
#include "harness/core/spending.h"

namespace assay {

InProcess::InProcess() : oracle_(available_memory()) {}

Record InProcess::run(const Job& job, const RunOptions& options) {
  auto& [device, limits] = devices_[{job.device->backend, job.device->index}];
  begin_spending();
  Spent opening = {};
  try {
    if (!device) device = find_platform(job.device->backend)->open(job.device->index);
    if (!limits && !options.verify_only && !device->clock().empty()) {
      limits = std::make_unique<Limits>(*device, cache_folder(), options.limits_again);
      // Tens of milliseconds a mix on a GPU, a second on a CPU: there only those that are needed.
      if (job.device->backend == Backend::cuda) limits->measure_usual();
    }
    opening = spent();
  } catch (const std::exception& error) {
    Record record = begin_record(job, options);
    record.reason = error.what();
    return record;
  }
  RunOptions each = options;
  if (options.verify.has_twins) each.verify.twins = &twins_;
  Record record = run_case(
      {job.problem, job.variant, device.get(), limits.get(), job.alias, job.note}, oracle_, each);
  for (std::size_t i = 0; i < opening.size(); ++i) {
    if (opening[i] < 1e-3) continue;
    const std::string_view what = name(static_cast<Expense>(i));
    record.seconds += opening[i];
    const auto known = std::find_if(record.spent.begin(), record.spent.end(),
                                    [&](const auto& entry) { return entry.first == what; });
    if (known != record.spent.end())
      known->second += opening[i];
    else
      record.spent.emplace_back(what, opening[i]);
  }
  return record;
}

}  // namespace assay
