#include "reports/baselines.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "harness/core/error.h"
#include "harness/core/text.h"
#include "reports/jsonl.h"
#include "reports/samples.h"
#include "reports/writer.h"

namespace assay {
namespace {

std::vector<std::string> files_in(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator(folder, none))
    if (entry.path().extension() == ".jsonl") names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

void append(Results& all, Results one) {
  for (Record& record : one.records) add(all, std::move(record));
  for (Environment& environment : one.environments)
    all.environments.push_back(std::move(environment));
  for (std::string& note : one.notes) all.notes.push_back(std::move(note));
  all.other_schemas += one.other_schemas;
}

}  // namespace

std::string baseline_path(const std::string& folder, std::string_view device) {
  return (std::filesystem::path(folder) / (slug(device) + ".jsonl")).string();
}

Baselines read_baselines(const std::string& folder, const Results& of) {
  Baselines found;
  for (const std::string& device : devices_in(of)) {
    const std::string path = baseline_path(folder, device);
    if (!std::filesystem::exists(path)) {
      found.without.push_back(device);
      continue;
    }
    Results one = read_results({path});
    for (const Record& record : one.records)
      if (record.device != device)
        throw UsageError(fmt::format("{} is no baseline of {}: it holds records of {}", path,
                                     device, record.device));
    append(found.results, std::move(one));
    found.files.push_back(path);
  }
  if (found.files.empty()) {
    const auto names = files_in(folder);
    throw UsageError(fmt::format(
        "no baseline of {} in {}; `assay baseline update RESULTS` makes one. There {}",
        join(found.without), folder,
        names.empty() ? "is none yet" : (names.size() == 1 ? "is " : "are ") + join(names)));
  }
  return found;
}

std::string write_baseline(const std::string& folder, const std::string& device,
                           const Results& results) {
  const std::string path = baseline_path(folder, device);
  // Written aside, so that nothing is lost where the disk is full.
  const std::filesystem::path aside =
      std::filesystem::path(folder) / fmt::format(".new-{}", getpid());
  const std::string fresh = (aside / std::filesystem::path(path).filename()).string();
  try {
    JsonlWriter writer(fresh);
    std::set<std::string> environments;
    for (const Record& record : results.records)
      if (record.device == device) environments.insert(record.environment);
    for (const Environment& environment : results.environments)
      if (environments.contains(environment.id())) writer.write(environment);
    SampleReader samples;
    for (Record record : results.records) {
      if (record.device != device) continue;
      for (Measurement& measurement : record.measurements) {
        measurement.taken = samples.read(measurement);
        measurement.kept.reset();
      }
      writer.write(std::move(record));
    }
    // In between, the checksums see to it that no record is given another's samples.
    std::filesystem::rename(samples_path(fresh), samples_path(path));
    std::filesystem::rename(fresh, path);
  } catch (const std::exception& error) {
    std::error_code ignored;
    std::filesystem::remove_all(aside, ignored);
    throw EnvironmentError(fmt::format("cannot write {}: {}", path, error.what()));
  }
  std::error_code ignored;
  std::filesystem::remove_all(aside, ignored);
  return path;
}

}  // namespace assay
