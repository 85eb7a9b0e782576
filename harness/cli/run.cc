// assay run: suites and problems to verified, timed records.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <set>
#include <string>

#include "harness/cli/commands.h"
#include "harness/cli/progress.h"
#include "harness/cli/spent_table.h"
#include "harness/cli/watch.h"
#include "harness/core/error.h"
#include "harness/engine/environment.h"
#include "harness/engine/sweep.h"
#include "harness/worker/supervisor.h"
#include "reports/jsonl.h"
#include "reports/results.h"

namespace assay {
namespace {

class Recorder : public Observer {
 public:
  Recorder(std::size_t cases, JsonlWriter* file, Watch* watch, std::vector<Record>* kept,
           bool quiet)
      : progress_(cases, quiet), file_(file), watch_(watch), kept_(kept) {}
  void begin_case(const Job& job, std::size_t index) override {
    if (watch_) watch_->begin_case(job);
    progress_.begin_case(job, index);
  }
  void end_case(const Record& record, std::size_t index) override {
    if (file_) file_->write(record);
    if (watch_) watch_->end_case(record);
    counts_.add(record);
    spent_.add(record);
    for (const std::string& note : record.notes)
      if (notes_.insert(note).second) progress_.note(note);
    progress_.end_case(record, index);
    if (kept_) {
      kept_->push_back(record);
      for (Measurement& measurement : kept_->back().measurements) measurement.taken = {};
    }
  }
  const Counts& counts() const { return counts_; }
  const SpentTable& spent() const { return spent_; }

 private:
  Progress progress_;
  JsonlWriter* file_;
  Watch* watch_;
  std::vector<Record>* kept_;
  Counts counts_;
  SpentTable spent_;
  std::set<std::string> notes_;
};

}  // namespace

Selection selection_of(const RunArguments& arguments) {
  Selection selection;
  if (!arguments.variants.empty()) selection.globs = arguments.variants;
  selection.device = arguments.device;
  selection.tables = default_tuning_folders();
  selection.backends = parse_backends(arguments.backends);
  return selection;
}

std::vector<Backend> parse_backends(const std::vector<std::string>& names) {
  std::vector<Backend> backends;
  for (const std::string& text : names) {
    const auto backend = parse_backend(text);
    if (!backend)
      throw UsageError(
          fmt::format("unknown backend `{}`{}", text, suggestion(text, {"cpu", "simt", "cuda"})));
    if (std::find(backends.begin(), backends.end(), *backend) == backends.end())
      backends.push_back(*backend);
  }
  return backends;
}

std::unique_ptr<Runner> make_runner(bool in_process) {
  if (in_process) return std::make_unique<InProcess>();
  return std::make_unique<Supervisor>();
}

int run_command(const RunArguments& arguments) {
  return sweep(arguments, selection_of(arguments)).good() ? kExitGood : kExitBad;
}

Counts sweep(const RunArguments& arguments, const Selection& selection,
             std::vector<Record>* records) {
  const std::vector<Problem> problems = all_problems(arguments.what);
  const Plan plan = make_plan(problems, selection);
  // Throw for what is none, before anything is written.
  split_caches(arguments.measure.caches);
  split_counters(arguments.measure.counters, plan.devices);
  const std::unique_ptr<JsonlWriter> file =
      arguments.out.empty() ? nullptr : std::make_unique<JsonlWriter>(arguments.out);

  const Environment environment = describe_environment(arguments.arguments, plan.devices);
  if (file) file->write(environment);
  const std::unique_ptr<Watch> watch =
      arguments.watch.empty()
          ? nullptr
          : std::make_unique<Watch>(arguments.watch, environment, plan.jobs.size());
  RunOptions options;
  options.seed = arguments.seed;
  options.seeds = arguments.seeds;
  options.verify.dump = arguments.dump;
  options.fences = !arguments.in_process;
  options.verify_only = arguments.verify_only;
  options.measure = arguments.measure;
  options.limits_again = arguments.limits_again;
  options.verify.execution.schedule = arguments.schedule;
  options.verify.execution.timeout = arguments.timeout;
  options.verify.execution.trace_block = arguments.trace;
  options.environment = environment.id();

  const auto start = std::chrono::steady_clock::now();
  Counts counts;
  SpentTable spent;
  {
    Recorder recorder(plan.jobs.size(), file.get(), watch.get(), records, arguments.quiet);
    const std::unique_ptr<Runner> runner = make_runner(arguments.in_process);
    run_sweep(plan, options, *runner, recorder);
    counts = recorder.counts();
    spent = recorder.spent();
  }
  if (watch) watch->finish();
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  fmt::print("{}\n{} problem{} in {}{}{}\n{}\n", summary(counts), problems.size(),
             problems.size() == 1 ? "" : "s", format_duration(seconds),
             file ? ", records in " + arguments.out : "",
             watch ? ", report in " + arguments.watch : "", spent.text(seconds));
  return counts;
}

}  // namespace assay
