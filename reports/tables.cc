#include "reports/tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "harness/core/error.h"
#include "harness/core/registry.h"
#include "reports/markdown.h"
#include "reports/writer.h"

namespace assay {
namespace {

using Records = std::vector<const Record*>;

const Column& column_named(const std::string& key) {
  std::vector<std::string> keys;
  for (const Column& column : columns()) {
    if (column.key == key) return column;
    keys.push_back(column.key);
  }
  throw UsageError(fmt::format("unknown column `{}`{}", key, suggestion(key, keys)));
}

Records selected(const TableRequest& request, const Results& results) {
  std::vector<std::pair<const Column*, const std::vector<std::string>*>> filters;
  for (const auto& [key, globs] : request.filters) filters.emplace_back(&column_named(key), &globs);
  Records records;
  for (const Record& record : results.records) {
    const bool wanted = std::all_of(filters.begin(), filters.end(), [&](const auto& filter) {
      return std::any_of(filter.second->begin(), filter.second->end(), [&](const auto& glob) {
        return glob_match(glob, filter.first->text(record)) ||
               glob_match(glob, filter.first->raw(record));
      });
    });
    if (wanted) records.push_back(&record);
  }
  if (records.empty()) throw UsageError("no case is left: none of the records matches");
  return records;
}

std::vector<std::string> devices_of(const Records& records) {
  std::vector<std::string> devices;
  for (const Record* record : records)
    if (std::find(devices.begin(), devices.end(), record->device) == devices.end())
      devices.push_back(record->device);
  return devices;
}

// A table for each device; with their names above where there are several.
template <class F>
std::string by_device(const Records& records, F table) {
  const std::vector<std::string> devices = devices_of(records);
  std::string text;
  for (const std::string& device : devices) {
    Records here;
    for (const Record* record : records)
      if (record->device == device) here.push_back(record);
    if (devices.size() > 1) text += fmt::format("{}**{}**\n\n", text.empty() ? "" : "\n", device);
    text += table(here);
  }
  return text;
}

std::string cases(const TableRequest& request, const Results& results) {
  std::vector<const Column*> shown;
  for (const std::string& key : request.columns) shown.push_back(&column_named(key));
  if (shown.empty()) shown = columns_shown(results.records);
  return by_device(selected(request, results),
                   [&](const Records& records) { return markdown_cases(records, shown); });
}

// A row a variant: how many cases, and the geometric mean of its share of the limit.
std::string variant_rows(const Records& records) {
  std::vector<std::string> ids;
  for (const Record* record : records)
    if (std::find(ids.begin(), ids.end(), record->id()) == ids.end()) ids.push_back(record->id());
  std::string text = markdown_row({"variant", "cases", "passed", "timed", "of limit"}) +
                     markdown_row({"---", "---:", "---:", "---:", "---:"});
  for (const std::string& id : ids) {
    int all = 0;
    int passed = 0;
    int timed = 0;
    double logs = 0;
    for (const Record* record : records) {
      if (record->id() != id) continue;
      ++all;
      if (record->status == Status::passed) ++passed;
      const auto cold =
          std::find_if(record->measurements.begin(), record->measurements.end(),
                       [](const Measurement& m) { return m.cache == "cold" && m.limit > 0; });
      if (cold == record->measurements.end() || !(cold->fraction_of_limit() > 0)) continue;
      ++timed;
      logs += std::log(cold->fraction_of_limit());
    }
    text += markdown_row({id, std::to_string(all), std::to_string(passed), std::to_string(timed),
                          timed > 0 ? fmt::format("{:.0f} %", 100 * std::exp(logs / timed)) : ""});
  }
  return text;
}

std::string environments(const TableRequest& request, const Results& results) {
  const Records records = selected(request, results);
  std::string text;
  for (const Environment& environment : results.environments) {
    const bool used = std::any_of(records.begin(), records.end(), [&](const Record* record) {
      return record->environment == environment.id();
    });
    if (used) text += (text.empty() ? "" : "\n") + markdown_facts(environment);
  }
  if (text.empty()) throw UsageError("the environment of these records is not among them");
  return text;
}

std::string counts_in_words(const TableRequest& request, const Results& results) {
  Counts counts;
  for (const Record* record : selected(request, results)) counts.add(*record);
  return summary(counts) + "\n";
}

}  // namespace

std::string make_table(const TableRequest& request, const Results& results) {
  if (!request.columns.empty() && request.table != "cases")
    throw UsageError("columns= chooses those of the table `cases` alone");
  if (request.table == "cases") return cases(request, results);
  if (request.table == "variants") return by_device(selected(request, results), variant_rows);
  if (request.table == "environment") return environments(request, results);
  if (request.table == "summary") return counts_in_words(request, results);
  throw UsageError(
      fmt::format("unknown table `{}`{}", request.table,
                  suggestion(request.table, {"cases", "variants", "environment", "summary"})));
}

}  // namespace assay
