// The subcommands of assay. Each returns the exit code: 0 all good, 1 a case did not pass. They
// throw UsageError (main makes it exit code 2) and print to stdout; progress goes to stderr.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "harness/engine/choice_table.h"
#include "harness/engine/measure.h"
#include "harness/engine/runner.h"
#include "harness/engine/suite.h"
#include "harness/engine/sweep.h"
#include "reports/results.h"

namespace assay {

inline constexpr int kExitGood = 0;
inline constexpr int kExitBad = 1;
inline constexpr int kExitUsage = 2;

inline constexpr const char* kTuningFolder = "reports/tuning";

struct RunArguments {
  std::vector<std::string> what;      // suites and problems
  std::vector<std::string> variants;  // globs; empty: all
  std::vector<std::string> backends;  // names; empty: all that are here
  int device = -1;
  std::string schedule;  // of simt; empty: all in turn
  double timeout = 10;
  std::int64_t trace = -1;
  bool in_process = false;
  bool quiet = false;
  bool verify_only = false;
  std::uint64_t seed = 1;
  int seeds = 1;
  std::string dump;  // folder; empty: none
  MeasureOptions measure;
  bool limits_again = false;
  std::string out;                     // JSONL; empty: none
  std::string watch;                   // HTML; empty: none
  std::vector<std::string> arguments;  // of the program, for the environment
};

int run_command(const RunArguments& arguments);
// What it does: runs the cases, with progress, files and a summary. Also hands the records over,
// but for their samples, if asked to.
Counts sweep(const RunArguments& arguments, const Selection& selection,
             std::vector<Record>* records = nullptr);

struct TuneArguments {
  RunArguments run;               // `what` may be empty where there are records
  std::vector<std::string> from;  // files of records
  std::string folder = kTuningFolder;
};

int tune_command(const TuneArguments& arguments);
// Of a device, what `auto` should run for each problem in the records: the fastest, cold, of our
// variants that passed, with fp32 internals and the same bits in every run. Of those that are
// within a percent of it, the one that needs no configuration.
std::vector<ChoiceRow> tuned_rows(const std::vector<Record>& records, const std::string& device);

struct BenchArguments {
  RunArguments run;
  std::vector<std::string> benchmark;  // flags for Google Benchmark
};

int bench_command(const BenchArguments& arguments);
std::vector<Backend> parse_backends(const std::vector<std::string>& names);
Selection selection_of(const RunArguments& arguments);
std::unique_ptr<Runner> make_runner(bool in_process);

// The problems that suites and problems as text name, each once. Throws UsageError for none.
std::vector<Problem> all_problems(const std::vector<std::string>& what);

// ops, families, variants, suites, devices; empty: all. Or what `names` asks for: the families of
// one op, the problems of suites.
int list_command(const std::string& what, const std::vector<std::string>& names);

struct ExportArguments {
  std::string problem;
  std::string family;  // empty: the problem's, or the first
  std::uint64_t seed = 1;
  std::string folder;
  std::string limit;  // backend whose limit is measured; empty: none
  int device = -1;
};

int export_command(const ExportArguments& arguments);

struct VerifyFileArguments {
  std::vector<std::string> folders;
  std::string variant;
  std::string backend = "cpu";
  std::string device;                  // name; empty: what is known
  std::string numerics;                // key=value,...
  std::string check = "interval";      // how the checks are named
  std::string out;                     // JSONL; empty: none
  std::vector<std::string> arguments;  // of the program, for the environment
};

int verify_file_command(const VerifyFileArguments& arguments);

struct ReportArguments {
  std::vector<std::string> files;
  std::string format = "console";
  std::string out;                // file; empty: stdout
  std::vector<std::string> into;  // documents whose tables are made anew
  bool check = false;             // with into: change nothing
};

int report_command(const ReportArguments& arguments);

struct CompareArguments {
  std::vector<std::string> files;  // BASE NEW; with `baseline`: NEW
  bool baseline = false;
  std::string baselines;  // folder
  bool gate = false;
  std::string thresholds;  // TOML; empty: the defaults
  std::string format = "console";
  std::vector<std::string> out;     // further files, their formats by their endings
  std::string rerun = "auto";       // auto, self, none or a program
  std::string rerun_base = "none";  // likewise
  bool across_devices = false, across_contracts = false, across_seeds = false;
};

int compare_command(const CompareArguments& arguments);

// Throws UsageError for a file with lines of another schema, or without records.
void require_usable(const Results& results, const std::string& path);

struct BaselineArguments {
  std::string file;
  std::string folder;
  bool yes = false;  // replace what is there
};

int baseline_update_command(const BaselineArguments& arguments);

struct SelftestArguments {
  std::string part;  // liars, twins, comparison; empty: the first two, which need no records
  std::vector<std::string> backends;  // names; empty: all that are here
  std::vector<std::string> checks;    // of twins: globs; empty: all
  // Of liars:
  std::uint64_t seed = 1;
  int seeds = 2;
  double timeout = 1;
  int jobs = 1;
  bool dtypes_in_turn = false;
  double limit = 0;                // seconds; 0: none
  std::string suite = "selftest";  // for the correct variants
  bool in_process = false;
  std::string report;  // of liars and comparison: Markdown; empty: none
  // Of comparison:
  std::vector<std::string> records;    // files, a run each
  std::string thresholds;              // TOML; empty: the defaults
  std::vector<std::string> arguments;  // of the program, for the report
};

int selftest_command(const SelftestArguments& arguments);
int selftest_twins(const SelftestArguments& arguments);
int selftest_liars(const SelftestArguments& arguments);
int selftest_comparison(const SelftestArguments& arguments);

// ./suites first, then what lies beside the binary or was installed with it.
SuitePath default_suite_path();
// Likewise of the tables that `auto` chooses by: ./reports/tuning, …
std::vector<std::filesystem::path> default_tuning_folders();

}  // namespace assay
