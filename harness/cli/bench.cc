// assay bench: cases as benchmarks of Google Benchmark, for people who have its tools. A case is
// verified when its turn comes, in a worker like every case; it is timed here, by its device's
// clock.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>

#include "harness/cli/commands.h"
#include "harness/core/error.h"
#include "harness/core/host.h"
#include "harness/core/registry.h"
#include "harness/engine/environment.h"
#include "harness/engine/exchange.h"

namespace assay {
namespace {

// "fused@cuda/attnres_fwd/dtype=bf16/N=9", and the cache state where it is not cold.
std::string benchmark_name(const Job& job, const std::string& cache) {
  std::string text = shown_name(job) + "/" + str(job.problem);
  std::replace(text.begin(), text.end(), ' ', '/');
  return cache == "cold" ? text : text + "/cache=" + cache;
}

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

// A case that passed, with its buffers.
class TimedCase {
 public:
  TimedCase(const Case& job, Oracle& oracle, const RunOptions& options)
      : problem_(job.problem),
        family_(&family_for_export(job.problem, "")),
        seed_(options.seed),
        verifier_(problem_, *job.variant, *job.device, oracle, options.verify),
        rotation_(job.problem, *job.variant, *job.device, filled(job, oracle),
                  memory_for_rotation(job, oracle)) {}

  Rotation& rotation() { return rotation_; }
  // Why what the last launch left is wrong; empty: it is right.
  std::string verify() {
    if (!rotation_.last()) return "";
    verifier_.verify_timed(*rotation_.last(), *family_, seed_);
    for (const Check& check : verifier_.checks())
      if (check.status != Status::passed) return check.reason;
    return "";
  }

 private:
  BufferSet& filled(const Case& job, Oracle& oracle) {
    verifier_.set().upload(*oracle.inputs(job.problem, family_->name, seed_));
    return verifier_.set();
  }

  Problem problem_;  // which the verifier refers to
  const Family* family_;
  std::uint64_t seed_;
  Verifier verifier_;
  Rotation rotation_;
};

// Runs what Google Benchmark asks for. It comes back to a benchmark several times, in search of a
// number of iterations: the case of the last one is kept.
class Bench {
 public:
  Bench(RunOptions options, bool in_process)
      : options_(std::move(options)), runner_(make_runner(in_process)) {}

  bool failed() const { return failed_; }

  void run(const Job& job, const std::string& cache, benchmark::State& state) {
    try {
      if (const std::string why = prepare(job, cache); !why.empty()) return fail(state, why);
      const double sum = time(cache, state);
      if (const std::string why = case_->verify(); !why.empty()) return fail(state, why);
      count(job, cache, sum, state);
    } catch (const std::exception& error) {
      fail(state, error.what());
      case_.reset();
    }
  }

 private:
  void fail(benchmark::State& state, const std::string& why) {
    failed_ = true;
    state.SkipWithError(first_line(why).c_str());
  }

  // Why it can't be timed; empty: case_ is this one.
  std::string prepare(const Job& job, const std::string& cache) {
    if (job_ != &job) {
      case_.reset();
      job_ = &job;
      record_ = runner_->run(job, options_);
      if (record_.status == Status::passed) open(job);
    }
    if (record_.status != Status::passed)
      return fmt::format("{}: {}", name(record_.status), record_.reason);
    std::string why_not;
    if (cache == "graph" && !case_->rotation().record_graph(why_not))
      return why_not.empty() ? "no graph of this case on this backend" : why_not;
    return "";
  }

  void open(const Job& job) {
    if (!device_ || device_->info().backend != job.device->backend) {
      if (device_) oracle_.forget(*device_);
      device_ = find_platform(job.device->backend)->open(job.device->index);
      limits_ = std::make_unique<Limits>(*device_, cache_folder(), options_.limits_again);
    }
    oracle_.turn_to(job.problem);
    case_.emplace(Case{job.problem, job.variant, device_.get(), limits_.get(), job.alias, job.note},
                  oracle_, options_);
  }

  // Returns the sum of the times.
  double time(const std::string& cache, benchmark::State& state) {
    constexpr std::int64_t kBatch = 256;
    Rotation& rotation = case_->rotation();
    std::vector<Sample> samples;
    std::size_t next = 0;
    std::int64_t left = static_cast<std::int64_t>(state.max_iterations);
    double sum = 0;
    for (auto _ : state) {
      if (next == samples.size()) {
        const auto batch = static_cast<int>(std::clamp<std::int64_t>(left, 1, kBatch));
        samples = cache == "hot"     ? rotation.time_hot(batch)
                  : cache == "graph" ? rotation.time_graph(batch)
                                     : rotation.time_cold(batch);
        left -= batch;
        next = 0;
      }
      state.SetIterationTime(samples[next].seconds);
      sum += samples[next++].seconds;
    }
    return sum;
  }

  void count(const Job& job, const std::string& cache, double sum, benchmark::State& state) {
    const Cost cost = op_of(job.problem).cost(job.problem);
    const auto iterations = static_cast<double>(state.iterations());
    const double floor =
        floor_seconds(cost, cache == "cold", device_->info().cache_bytes, *limits_);
    double utilisation = 0;
    for (const Check& check : record_.checks)
      utilisation = std::max(utilisation, check.utilisation);
    state.SetBytesProcessed(
        static_cast<std::int64_t>(iterations * (cost.bytes_read + cost.bytes_written)));
    state.counters["of_limit"] = sum > 0 ? floor * iterations / sum : 0;
    state.counters["error_over_bound"] = utilisation;
    state.counters["buffer_sets"] = static_cast<double>(case_->rotation().sets());
  }

  RunOptions options_;
  std::unique_ptr<Runner> runner_;
  std::unique_ptr<Device> device_;
  Oracle oracle_{available_memory()};  // gone before the device is
  std::unique_ptr<Limits> limits_;
  const Job* job_ = nullptr;
  Record record_;
  std::optional<TimedCase> case_;
  bool failed_ = false;
};

void initialize(const std::vector<std::string>& flags) {
  std::vector<std::string> texts = {"assay bench"};
  texts.insert(texts.end(), flags.begin(), flags.end());
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  auto count = static_cast<int>(pointers.size());
  benchmark::Initialize(&count, pointers.data());
  if (count > 1)
    throw UsageError(
        fmt::format("unknown argument `{}`: bench takes the arguments of `assay bench "
                    "--help` and the flags of Google Benchmark, --benchmark_…",
                    pointers[1]));
}

}  // namespace

int bench_command(const BenchArguments& arguments) {
  initialize(arguments.benchmark);
  const std::vector<std::string> caches = split_caches(arguments.run.measure.caches);
  const Plan plan = make_plan(all_problems(arguments.run.what), selection_of(arguments.run));
  const Environment environment = describe_environment(arguments.run.arguments, plan.devices);
  RunOptions options;
  options.seed = arguments.run.seed;
  options.verify_only = true;
  options.fences = !arguments.run.in_process;
  options.verify.execution.timeout = arguments.run.timeout;
  options.limits_again = arguments.run.limits_again;
  options.environment = environment.id();
  for (const auto& [key, value] : environment.facts)
    if (key == "commit" || key == "compiler" || key.find(':') != std::string::npos)
      benchmark::AddCustomContext(key, value);

  Bench bench(options, arguments.run.in_process);
  for (const Job& job : plan.jobs) {
    if (job.device->backend == Backend::simt) continue;
    if (const std::string why = why_unsupported(job); !why.empty()) {
      fmt::print(stderr, "assay: left out, unsupported: {}: {}\n", benchmark_name(job, "cold"),
                 why);
      continue;
    }
    for (const std::string& cache : caches)
      benchmark::RegisterBenchmark(
          benchmark_name(job, cache).c_str(),
          [&bench, &job, cache](benchmark::State& state) { bench.run(job, cache, state); })
          ->UseManualTime()
          ->Unit(benchmark::kMicrosecond);
  }
  const std::size_t matched = benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  if (matched == 0)
    throw UsageError("no benchmark matches the filter; --benchmark_list_tests shows their names");
  return bench.failed() ? kExitBad : kExitGood;
}

}  // namespace assay
