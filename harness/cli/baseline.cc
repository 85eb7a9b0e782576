// assay baseline: the results that new ones are compared with, by device; replaced on purpose
// alone.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "harness/cli/commands.h"
#include "harness/compare/compare.h"
#include "harness/core/error.h"
#include "reports/baselines.h"
#include "reports/jsonl.h"
#include "reports/writer.h"

namespace assay {
namespace {

Results of_device(const Results& all, const std::string& device) {
  Results results;
  results.environments = all.environments;
  for (const Record& record : all.records)
    if (record.device == device) add(results, record);
  return results;
}

std::string console(const Comparison& comparison) {
  for (const ComparisonWriter& writer : comparison_writers())
    if (writer.name == "console") return writer.write(comparison);
  return "";
}

// What would be replaced by what; old and new may differ in anything.
void show_change(const std::string& path, const Results& next, const std::string& name) {
  const Results old = read_results({path});
  if (old.records.empty()) {
    fmt::print("{} holds no record that this version can read\n", path);
    return;
  }
  try {
    CompareOptions options;
    options.across = {.contracts = true, .seeds = true};
    Comparison comparison = compare(old, next, options);
    comparison.base = path;
    comparison.next = name;
    fmt::print("{}", console(comparison));
  } catch (const UsageError& error) {
    fmt::print("{} -> {}: {}\n", path, name, error.what());
  }
}

}  // namespace

int baseline_update_command(const BaselineArguments& arguments) {
  const Results results = read_results({arguments.file});
  require_usable(results, arguments.file);
  for (const std::string& note : results.notes) fmt::print(stderr, "assay: {}\n", note);
  std::vector<std::string> exist;
  const auto devices = devices_in(results);
  for (const std::string& device : devices) {
    const std::string path = baseline_path(arguments.folder, device);
    if (!std::filesystem::exists(path)) continue;
    exist.push_back(path);
    show_change(path, of_device(results, device), arguments.file);
  }
  const auto bad =
      std::count_if(results.records.begin(), results.records.end(), [](const Record& record) {
        return record.status != Status::passed && record.status != Status::unsupported;
      });
  if (!arguments.yes && bad > 0)
    throw UsageError(
        fmt::format("{} of {} cases did not pass, and would be expected not to from now on: "
                    "nothing was changed; --yes takes them nevertheless",
                    bad, results.records.size()));
  if (!arguments.yes && !exist.empty())
    throw UsageError(
        fmt::format("{} exists: nothing was changed; --yes replaces it as shown", exist.front()));
  for (const std::string& device : devices)
    fmt::print("{} is the baseline of {}\n", write_baseline(arguments.folder, device, results),
               device);
  return kExitGood;
}

}  // namespace assay
