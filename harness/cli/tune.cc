// assay tune: which variant in which configuration is the fastest on a device, problem by problem,
// as the table that `auto` chooses by.
#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include "harness/cli/commands.h"
#include "harness/core/error.h"
#include "reports/choices.h"
#include "reports/columns.h"
#include "reports/jsonl.h"

namespace assay {
namespace {

constexpr double kNoFaster = 0.01;  // of a time: not worth a configuration

struct Candidate {
  Choice choice;
  double seconds;
};

bool is_eligible(const Record& record, const std::string& device) {
  return record.device == device && is_choosable(record) &&
         has_variant(record.op, parse_choice(record.variant).variant);
}

ChoiceRow best_of(std::vector<Candidate> candidates, const std::string& problem) {
  std::stable_sort(candidates.begin(), candidates.end(),
                   [](const Candidate& a, const Candidate& b) { return a.seconds < b.seconds; });
  const double enough = candidates.front().seconds * (1 + kNoFaster);
  const auto plain =
      std::find_if(candidates.begin(), candidates.end(), [&](const Candidate& candidate) {
        return candidate.seconds <= enough && candidate.choice.configuration.empty();
      });
  const Candidate& best = plain != candidates.end() ? *plain : candidates.front();
  ChoiceRow row = {parse_problem(problem), best.choice, format_seconds(best.seconds)};
  const auto next = std::find_if(candidates.begin(), candidates.end(), [&](const Candidate& c) {
    return c.choice.variant != best.choice.variant;
  });
  if (next != candidates.end())
    row.comment += fmt::format("; {} {}", str(next->choice), format_seconds(next->seconds));
  return row;
}

// Written aside first: a full disk must not cost the old table.
void write(const ChoiceTable& table, const std::filesystem::path& path) {
  std::error_code failure;
  std::filesystem::create_directories(path.parent_path(), failure);
  const std::filesystem::path aside = path.string() + ".new";
  std::ofstream file(aside, std::ios::trunc);
  file << str(table) << std::flush;
  if (file) std::filesystem::rename(aside, path, failure);
  if (!file || failure) throw UsageError("cannot write " + path.string());
}

// Adds the rows to the device's table and says what became different.
void update(const std::string& device, std::vector<ChoiceRow> rows, const std::string& folder) {
  ChoiceTable table = load_choice_table({folder}, device);
  std::size_t added = 0, changed = 0;
  for (ChoiceRow& row : rows) {
    const ChoiceRow* const old = table.find(row.problem);
    if (!old) {
      ++added;
    } else if (old->choice != row.choice) {
      ++changed;
      fmt::print("{}: {}, was {}\n", str(row.problem), str(row.choice), str(old->choice));
    }
    table.put(std::move(row));
  }
  const std::filesystem::path path = std::filesystem::path(folder) / choice_file(device);
  write(table, path);
  fmt::print("{}: {} row{}, {} new, {} changed\n", path.string(), table.rows.size(),
             table.rows.size() == 1 ? "" : "s", added, changed);
}

}  // namespace

std::vector<ChoiceRow> tuned_rows(const std::vector<Record>& records, const std::string& device) {
  std::vector<ChoiceRow> rows;
  std::set<std::string> done;
  for (const Record& first : records) {
    if (!is_eligible(first, device) || !done.insert(first.problem).second) continue;
    std::vector<Candidate> candidates;
    for (const Record& record : records)
      if (record.problem == first.problem && is_eligible(record, device))
        candidates.push_back({parse_choice(record.variant), cold_time(record)->median});
    rows.push_back(best_of(std::move(candidates), first.problem));
  }
  return rows;
}

int tune_command(const TuneArguments& arguments) {
  if (arguments.run.what.empty() == arguments.from.empty())
    throw UsageError("tune wants suites and problems to run, or --from FILE with records");
  std::vector<Record> records;
  bool good = true;
  if (arguments.from.empty()) {
    Selection selection = selection_of(arguments.run);
    if (arguments.run.variants.empty()) selection.globs = {"*", "*[*]"};
    good = sweep(arguments.run, selection, &records).good();
  } else {
    Results results = read_results(arguments.from);
    records = std::move(results.records);
  }
  std::vector<std::string> devices;
  for (const Record& record : records)
    if (std::find(devices.begin(), devices.end(), record.device) == devices.end())
      devices.push_back(record.device);
  bool any = false;
  for (const std::string& device : devices) {
    std::vector<ChoiceRow> rows = tuned_rows(records, device);
    if (rows.empty()) continue;
    any = true;
    update(device, std::move(rows), arguments.folder);
  }
  if (!any)
    throw UsageError("nothing to choose from: no record of a variant that passed and was timed");
  return good ? kExitGood : kExitBad;
}

}  // namespace assay
