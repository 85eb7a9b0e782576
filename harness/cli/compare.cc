// assay compare: what has changed between two files of results.
#include "harness/compare/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <utility>

#include "harness/cli/commands.h"
#include "harness/cli/rerun.h"
#include "harness/core/error.h"
#include "harness/core/text.h"
#include "harness/engine/environment.h"
#include "reports/baselines.h"
#include "reports/jsonl.h"

namespace assay {
namespace {

const ComparisonWriter& writer_named(const std::string& format) {
  std::vector<std::string> names;
  for (const ComparisonWriter& writer : comparison_writers()) {
    if (writer.name == format) return writer;
    names.push_back(writer.name);
  }
  throw UsageError(fmt::format("unknown format `{}`{}", format, suggestion(format, names)));
}

// By the ending of the file: a comparison may be wanted in several forms, and re-runs take time.
const ComparisonWriter& writer_for(const std::string& path) {
  const std::string ending = std::filesystem::path(path).extension().string();
  if (ending == ".md") return writer_named("markdown");
  if (ending == ".xml") return writer_named("junit");
  if (ending == ".txt") return writer_named("console");
  throw UsageError(fmt::format(
      "{}: of files, .md (markdown), .xml (junit) and .txt (console) can be written", path));
}

struct File {
  const ComparisonWriter* writer;
  std::string path;
  std::ofstream stream;
};

std::vector<File> open_files(const std::vector<std::string>& paths) {
  std::vector<File> files;
  for (const std::string& path : paths) {
    const ComparisonWriter& writer = writer_for(path);
    files.push_back({&writer, path, std::ofstream(path)});
    if (!files.back().stream) throw UsageError("cannot write " + path);
  }
  return files;
}

std::string commit_of(const Environment& environment) {
  for (const auto& [key, value] : environment.facts)
    if (key == "commit") return value;
  return "";
}

// Whether this very program made the records, so that it may run them again unasked.
bool made_here(const Results& results) {
  const std::string commit = commit_of(describe_environment({}, {}));
  const bool is_plain = !commit.empty() && commit != "unknown" && !commit.ends_with("-dirty");
  return is_plain && !results.environments.empty() &&
         std::all_of(
             results.environments.begin(), results.environments.end(),
             [&](const Environment& environment) { return commit_of(environment) == commit; });
}

// The program for re-runs, or an empty text.
std::string program_for(const std::string& wanted, const Results& results) {
  if (wanted == "none") return "";
  const bool is_self = wanted == "self" || (wanted == "auto" && made_here(results));
  if (is_self) return std::filesystem::read_symlink("/proc/self/exe").string();
  if (wanted == "auto") return "";
  if (!std::filesystem::is_regular_file(wanted))
    throw UsageError(fmt::format("--rerun {}: no such program (or: self, none, auto)", wanted));
  return std::filesystem::absolute(wanted).string();
}

Rerun rerun_with(const std::string& program) {
  if (program.empty()) return nullptr;
  return [program](const Record& record, std::string& why_not) {
    fmt::print(stderr, "assay: running again: {} {}\n", record.variant + "@" + record.backend,
               record.problem);
    return rerun(program, record, why_not);
  };
}

Results read_for_comparison(const std::string& path) {
  Results results = read_results({path});
  require_usable(results, path);
  return results;
}

std::string text_of(const char* variable) {
  const char* value = std::getenv(variable);
  return value ? value : "";
}

}  // namespace

void require_usable(const Results& results, const std::string& path) {
  if (results.other_schemas > 0)
    throw UsageError(
        fmt::format("{} line{} of {} of another schema; make the file again with this version. {}",
                    results.other_schemas, results.other_schemas == 1 ? " is" : "s are", path,
                    results.notes.front()));
  if (results.records.empty())
    throw UsageError(fmt::format("there is no record of a case in {}{}", path,
                                 results.notes.empty() ? "" : ": " + results.notes.front()));
}

int compare_command(const CompareArguments& arguments) {
  const std::size_t wanted = arguments.baseline ? 1 : 2;
  if (arguments.files.size() != wanted)
    throw UsageError(arguments.baseline
                         ? "--baseline wants one file, the new one: assay compare --baseline NEW"
                         : "two files are wanted: assay compare BASE NEW; or: --baseline NEW");
  const ComparisonWriter& shown = writer_named(arguments.format);
  std::vector<File> files = open_files(arguments.out);
  CompareOptions options;
  if (!arguments.thresholds.empty()) options.thresholds = read_thresholds(arguments.thresholds);
  options.across = {arguments.across_devices, arguments.across_contracts, arguments.across_seeds};

  const Results next = read_for_comparison(arguments.files.back());
  std::vector<std::string> notes;
  Results base;
  std::string base_name;
  if (arguments.baseline) {
    Baselines found = read_baselines(arguments.baselines, next);
    require_usable(found.results, join(found.files));
    base = std::move(found.results);
    base_name = join(found.files);
    for (const std::string& device : found.without)
      notes.push_back(fmt::format("no baseline of {}: its cases are not compared", device));
  } else {
    base_name = arguments.files.front();
    base = read_for_comparison(base_name);
  }
  options.rerun = rerun_with(program_for(arguments.rerun, next));
  options.rerun_base = rerun_with(program_for(arguments.rerun_base, base));

  Comparison comparison = compare(base, next, options);
  comparison.base = base_name;
  comparison.next = arguments.files.back();
  for (const auto* results : {&std::as_const(base), &next})
    notes.insert(notes.end(), results->notes.begin(), results->notes.end());
  comparison.notes.insert(comparison.notes.begin(), notes.begin(), notes.end());

  fmt::print("{}", shown.write(comparison));
  // Beside what is no table for people, so that a file that it is sent to stays what it is.
  if (text_of("GITHUB_ACTIONS") == "true" && shown.name != "github")
    fmt::print(shown.name == "console" ? stdout : stderr, "{}",
               writer_named("github").write(comparison));
  for (File& file : files) {
    file.stream << file.writer->write(comparison) << std::flush;
    if (!file.stream)
      throw EnvironmentError("cannot write to " + file.path + ": is the disk full?");
  }
  return arguments.gate && comparison.regressions() > 0 ? kExitBad : kExitGood;
}

}  // namespace assay
