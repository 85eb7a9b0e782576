#include "harness/engine/sweep.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "harness/core/error.h"
#include "harness/core/registry.h"
#include "harness/core/text.h"

namespace assay {
namespace {

// The backends of a selection that names none: those that have a device here; simt, which is slow
// and never timed, only where a glob asks for it.
std::vector<Backend> usable_backends(const std::vector<std::string>& globs) {
  const bool asks_for_simt = std::any_of(globs.begin(), globs.end(), [](const std::string& glob) {
    return glob.size() >= 5 && glob.compare(glob.size() - 5, 5, "@simt") == 0;
  });
  std::vector<Backend> result;
  for (Platform* platform : platforms())
    if (!platform->devices().empty() && (platform->backend() != Backend::simt || asks_for_simt))
      result.push_back(platform->backend());
  return result;
}

void require_known(const std::string& glob) {
  std::vector<std::string> names;
  for (const Variant* variant : variants()) {
    if (matches(*variant, glob)) return;
    const std::string known = glob.find('/') != std::string::npos   ? variant->id()
                              : glob.find('@') != std::string::npos ? variant->bare_name()
                                                                    : variant->name;
    if (std::find(names.begin(), names.end(), known) == names.end()) names.push_back(known);
  }
  throw UsageError(fmt::format("no variant matches `{}`{}", glob, suggestion(glob, names)));
}

}  // namespace

DeviceInfo choose_device(Backend backend, int index) {
  Platform* platform = find_platform(backend);
  if (!platform) {
    std::vector<std::string> built;
    for (Platform* other : platforms()) built.emplace_back(name(other->backend()));
    throw UsageError(fmt::format("this binary was built without the backend {}; it has: {}",
                                 name(backend), join(built)));
  }
  const std::vector<DeviceInfo> devices = platform->devices();
  if (devices.empty())
    throw UsageError(fmt::format("backend {}: {}", name(backend), platform->why_none()));
  const auto count = static_cast<int>(devices.size());
  // --device chooses among several; a backend with one device has nothing to choose.
  const int chosen = index < 0 || count == 1 ? 0 : index;
  if (index >= count && (count > 1 || backend == Backend::cuda))
    throw UsageError(fmt::format(
        "backend {} has no device {}: it has {} (see `assay list devices`)", name(backend), index,
        count == 1 ? "only device 0" : fmt::format("devices 0 to {}", count - 1)));
  return devices[static_cast<std::size_t>(chosen)];
}

Plan make_plan(const std::vector<Problem>& problems, const Selection& selection) {
  for (const std::string& glob : selection.globs) require_known(glob);
  Plan plan;
  const auto backends =
      selection.backends.empty() ? usable_backends(selection.globs) : selection.backends;
  for (const Backend backend : backends)
    plan.devices.push_back(choose_device(backend, selection.device));
  for (const Problem& problem : problems) {
    for (const DeviceInfo& device : plan.devices) {
      for (const Variant* variant : variants()) {
        const bool wanted =
            std::any_of(selection.globs.begin(), selection.globs.end(),
                        [&](const std::string& glob) { return matches(*variant, glob); });
        if (wanted && variant->op == problem.op && variant->backend == device.backend)
          plan.jobs.push_back({problem, variant, &device});
      }
    }
  }
  if (plan.jobs.empty()) {
    std::vector<std::string> where;
    for (const Backend backend : backends) where.emplace_back(name(backend));
    throw UsageError(fmt::format(
        "no case matches: {} problem{}, no selected variant of their ops on {}", problems.size(),
        problems.size() == 1 ? "" : "s", where.empty() ? "any backend" : join(where)));
  }
  return plan;
}

void run_sweep(const Plan& plan, const RunOptions& options, Runner& runner, Observer& observer) {
  for (std::size_t i = 0; i < plan.jobs.size(); ++i) {
    observer.begin_case(plan.jobs[i], i);
    observer.end_case(runner.run(plan.jobs[i], options), i);
  }
}

}  // namespace assay
