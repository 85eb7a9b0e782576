#include "harness/engine/sweep.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <optional>

#include "harness/core/error.h"
#include "harness/core/registry.h"
#include "harness/core/text.h"
#include "harness/engine/choice_table.h"

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

// "attnres_fwd/fused[rows=3]@cuda": "attnres_fwd/fused@cuda" and "rows=3".
struct Pattern {
  std::string variants;
  std::optional<std::string> configurations;  // none: the variant's own choice
};

Pattern parse_pattern(const std::string& glob) {
  const std::size_t open = glob.find('['), close = glob.rfind(']');
  if (open == std::string::npos && close == std::string::npos) return {glob, std::nullopt};
  if (open == std::string::npos || close == std::string::npos || close < open ||
      (close + 1 < glob.size() && glob[close + 1] != '@'))
    throw UsageError(
        fmt::format("`{}`: a configuration stands after the variant's name, as in "
                    "`fused[rows=3]@cuda`",
                    glob));
  return {glob.substr(0, open) + glob.substr(close + 1), glob.substr(open + 1, close - open - 1)};
}

bool asks_for_auto(const Pattern& pattern) {
  return !pattern.configurations && pattern.variants.find(kAuto) != std::string::npos;
}

void require_known(const Pattern& pattern) {
  const std::string& glob = pattern.variants;
  std::vector<std::string> names;
  const auto is_known = [&](const Variant* variant) {
    const std::string known = glob.find('/') != std::string::npos   ? variant->id()
                              : glob.find('@') != std::string::npos ? variant->bare_name()
                                                                    : variant->name;
    if (std::find(names.begin(), names.end(), known) == names.end()) names.push_back(known);
    return matches(*variant, glob);
  };
  if (std::any_of(variants().begin(), variants().end(), is_known)) return;
  if (asks_for_auto(pattern) &&
      std::any_of(auto_variants().begin(), auto_variants().end(), is_known))
    return;
  throw UsageError(fmt::format("no variant matches `{}`{}", glob, suggestion(glob, names)));
}

// The configurations of a variant that are meant, each once; the variant's own choice is the empty
// one.
std::vector<Configuration> wanted(const Variant& variant, const Problem& problem,
                                  const std::vector<Pattern>& patterns) {
  std::vector<Configuration> result;
  const auto add = [&](const Configuration& configuration) {
    if (std::find(result.begin(), result.end(), configuration) == result.end())
      result.push_back(configuration);
  };
  for (const auto& [variants, configurations] : patterns) {
    if (!matches(variant, variants)) continue;
    if (!configurations) {
      add({});
    } else if (configurations->find_first_of("*?") == std::string::npos) {
      add(parse_configuration(*configurations));  // that it has it, its case will say
    } else if (variant.configurations) {
      for (const Configuration& known : variant.configurations(problem))
        if (glob_match(*configurations, str(known))) add(known);
    }
  }
  return result;
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
  std::vector<Pattern> patterns, choosing;
  for (const std::string& glob : selection.globs) {
    patterns.push_back(parse_pattern(glob));
    require_known(patterns.back());
    if (asks_for_auto(patterns.back())) choosing.push_back(patterns.back());
  }
  Plan plan;
  const auto backends =
      selection.backends.empty() ? usable_backends(selection.globs) : selection.backends;
  for (const Backend backend : backends)
    plan.devices.push_back(choose_device(backend, selection.device));
  std::vector<ChoiceTable> tables;  // of the devices
  if (!choosing.empty())
    for (const DeviceInfo& device : plan.devices)
      tables.push_back(load_choice_table(selection.tables, device.name));
  for (const Problem& problem : problems) {
    for (std::size_t d = 0; d < plan.devices.size(); ++d) {
      const DeviceInfo& device = plan.devices[d];
      for (const Variant* variant : variants()) {
        if (variant->op != problem.op || variant->backend != device.backend) continue;
        for (Configuration& configuration : wanted(*variant, problem, patterns)) {
          plan.jobs.push_back({problem, variant, &device});
          plan.jobs.back().problem.configuration = std::move(configuration);
        }
      }
      for (const Variant* variant : auto_variants())
        if (variant->op == problem.op && variant->backend == device.backend &&
            !wanted(*variant, problem, choosing).empty())
          plan.jobs.push_back(resolve({problem, variant, &device}, tables[d]));
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
  const auto has = [&](Backend backend) {
    return std::any_of(plan.devices.begin(), plan.devices.end(),
                       [&](const DeviceInfo& device) { return device.backend == backend; });
  };
  RunOptions each = options;
  each.verify.has_twins = has(Backend::cuda) && has(Backend::simt);
  for (std::size_t i = 0; i < plan.jobs.size(); ++i) {
    observer.begin_case(plan.jobs[i], i);
    observer.end_case(runner.run(plan.jobs[i], each), i);
  }
}

}  // namespace assay
