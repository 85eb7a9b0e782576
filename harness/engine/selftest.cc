#include "harness/engine/selftest.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>

#include "harness/core/error.h"
#include "harness/core/host.h"
#include "harness/core/registry.h"
#include "harness/core/text.h"
#include "harness/engine/allclose.h"
#include "harness/engine/suite.h"

namespace assay {
namespace {

std::string collapsed(const std::string& kind) { return kind.substr(0, kind.find('/')); }

// The problem of a liar at each dtype at which it lies.
std::vector<Problem> problems_of(const Liar& liar) {
  if (liar.problem.find("dtype=") != std::string::npos) return {parse_problem(liar.problem)};
  std::vector<Problem> problems;
  for (const DType dtype : kAllDTypes) {
    std::string text = liar.problem;
    text.insert(text.find(' '), " dtype=" + std::string(name(dtype)));
    problems.push_back(parse_problem(text));
  }
  return problems;
}

bool is_judged(const Check& check) {
  static const std::set<std::string> kinds = {"interval",     "exact", "relation", "fence",
                                              "after_timing", "fresh", "whole"};
  return kinds.contains(collapsed(check.kind));
}

void count_elements(const Record& record, const Problem& problem, SelftestResult& result) {
  for (const Check& check : record.checks) {
    if (is_judged(check) && check.elements > 0)
      result.elements[{record.op, check.output, problem.dtype_of(check.output)}] += check.elements;
  }
}

bool runs_on(const Variant& variant, const Device& device) {
  const Backend backend = device.info().backend;
  return variant.backend == (backend == Backend::cpu ? Backend::simt : backend);
}

// Whether the outputs pass the usual tests, on inputs that those are made with.
void try_tolerances(const Variant& variant, Problem problem, Device& device, Oracle& oracle,
                    LiarResult& result) {
  for (Problem::TensorType& tensor : problem.tensors) {
    const Op& op = op_of(problem);
    for (const TensorDeclaration& declared : op.tensors)
      if (declared.name == tensor.name && declared.optional) {
        tensor.present = false;
        tensor.as_declared = !tensor.dtype_named;
      }
  }
  if (variant.unsupported && !variant.unsupported(problem).empty()) return;
  const auto expected = oracle.expected(problem, "gaussian", 1, variant.numerics(problem));
  BufferSet set(device, variant, problem);
  set.upload(*oracle.inputs(problem, "gaussian", 1));
  set.poison(0);
  set.launch()(device.stream());
  device.synchronize();
  std::size_t at = 0;
  for (const TensorSpec& spec : tensor_specs(op_of(problem), problem)) {
    if (spec.role == Role::in) continue;
    std::vector<std::byte> got(static_cast<std::size_t>(spec.bytes()));
    set.download({spec, got.data()});
    const Expected& want = expected->at(at++);
    for (const NamedTolerance& tolerance : usual_tolerances()) {
      const bool close = allclose(spec, got.data(), want, tolerance.of(spec.dtype));
      const auto [entry, is_first] = result.close.try_emplace(tolerance.name, close);
      entry->second = entry->second && close;
    }
  }
}

class Selftest {
 public:
  Selftest(Device& device, const SelftestOptions& options) : device_(device), options_(options) {
    result_.checks = kinds_on(device);
  }

  void add_correct(const Variant& variant, bool is_control, const std::vector<Problem>& problems) {
    for (const Problem& problem : problems) {
      if (problem.op != variant.op) continue;
      RunOptions run = options_.run;
      run.verify_only = true;
      add_case({&variant, is_control, problem, run});
    }
  }

  void add_liar(const Liar& liar) {
    const std::vector<std::string> expected = expected_of(liar);
    const bool is_due = !expected.empty();
    result_.liars.push_back({.liar = &liar, .due = is_due});
    // What would never come back is not run where nobody sees it.
    if (!is_due && expects(liar.caught_by, {"hang"})) return;
    RunOptions run = options_.run;
    // Only those that wait for it are worth the timing.
    run.verify_only = !expects(expected, {"after_timing", "fresh"});
    run.measure = {.sampling = {.min_samples = kLiarPatience + 500,
                                .min_seconds = 0,
                                .max_seconds = 60,
                                .max_samples = kLiarPatience + 500},
                   .caches = "cold",
                   .trace = false};
    const std::vector<Problem> problems = problems_of(liar);
    const std::size_t of = options_.dtypes_in_turn ? problems.size() : 1;
    for (std::size_t i = 0; i < problems.size(); ++i)
      add_case({&liar.variant, true, problems[i], run, result_.liars.size() - 1}, of, i % of);
  }

  void run() {
    std::atomic<std::size_t> next = 0;
    std::mutex mutex;
    std::exception_ptr error;
    const auto start = std::chrono::steady_clock::now();
    const auto is_late = [&] {
      const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start;
      return options_.limit > 0 && passed.count() > options_.limit;
    };
    // Seed by seed, so that whole ones are done at any time.
    std::stable_sort(cases_.begin(), cases_.end(),
                     [](const Case& a, const Case& b) { return a.run.seed < b.run.seed; });
    const auto work = [&] {
      try {
        const std::unique_ptr<Runner> runner = options_.make_runner();
        for (std::size_t i = 0; !is_late() && (i = next++) < cases_.size();) {
          Case& one = cases_[i];
          if (options_.progress) {
            const std::lock_guard lock(mutex);
            options_.progress(one.variant->name + " on " + str(one.problem), i + 1, cases_.size());
          }
          one.record =
              runner->run({one.problem, one.variant, &device_.info(), one.is_planted}, one.run);
          one.is_done = true;
        }
      } catch (...) {
        const std::lock_guard lock(mutex);
        error = std::current_exception();
        next = cases_.size();
      }
    };
    {
      std::vector<std::jthread> others;
      for (int i = 1; i < options_.jobs; ++i) others.emplace_back(work);
      work();
    }
    if (error) std::rethrow_exception(error);
    const std::size_t a_seed = cases_.size() / static_cast<std::size_t>(options_.seeds);
    const auto end =
        std::find_if_not(cases_.begin(), cases_.end(), [](const Case& one) { return one.is_done; });
    const auto done = static_cast<std::size_t>(end - cases_.begin());
    result_.seeds = static_cast<int>(done / a_seed);
    if (result_.seeds == 0)
      throw UsageError(
          fmt::format("--limit {}: only {} of the {} cases of the first seed were done",
                      options_.limit, done, a_seed));
    cases_.resize(a_seed * static_cast<std::size_t>(result_.seeds));
    for (const Case& one : cases_) judge(one);
  }

  // In this process, hence last, and without those that may end it.
  void tolerances() {
    Oracle oracle(available_memory());
    for (LiarResult& found : result_.liars) {
      if (expects(found.liar->caught_by, {"fence", "hang", "stream", "out_of_bounds", "guards"}))
        continue;
      try {
        try_tolerances(found.liar->variant, problems_of(*found.liar).front(), device_, oracle,
                       found);
      } catch (const std::exception&) {
        found.close.clear();
      }
    }
  }

  SelftestResult take() { return std::move(result_); }

 private:
  static bool expects(const std::vector<std::string>& kinds, const std::set<std::string>& any) {
    return std::any_of(kinds.begin(), kinds.end(),
                       [&](const std::string& kind) { return any.contains(kind); });
  }

  struct Case {
    const Variant* variant = nullptr;
    bool is_planted = false;  // among the liars, be it as a control
    Problem problem{};
    RunOptions run{};
    std::optional<std::size_t> liar{};  // none: a correct variant
    bool is_done = false;
    Record record{};
  };

  // With every seed, or with each `of`-th: those of turn `turn`.
  void add_case(Case one, std::size_t of = 1, std::size_t turn = 0) {
    one.run.seeds = 1;
    for (int i = 0; i < options_.seeds; ++i, ++one.run.seed)
      if (static_cast<std::size_t>(i) % of == turn) cases_.push_back(one);
  }

  // The checks that this backend has of those that a liar names.
  std::vector<std::string> expected_of(const Liar& liar) const {
    if (liar.needs_order && device_.info().backend == Backend::cpu) return {};
    std::vector<std::string> expected;
    for (const std::string& kind : liar.caught_by)
      if (result_.checks.contains(kind)) expected.push_back(kind);
    return expected;
  }

  void judge(const Case& one) {
    const Record& record = one.record;
    if (record.status == Status::unsupported) return;
    count_elements(record, one.problem, result_);
    if (one.liar) {
      LiarResult& found = result_.liars[*one.liar];
      note(record, expected_of(*found.liar), found);
      return;
    }
    ++result_.correct_runs;
    if (record.status != Status::passed) result_.accused.push_back(record);
    for (const Check& check : record.checks)
      if (is_judged(check) && check.elements > 0 && !one.is_planted)
        result_.used[check.family].push_back(check.utilisation);
  }

  static void note(const Record& record, const std::vector<std::string>& expected,
                   LiarResult& found) {
    ++found.runs;
    found.seconds += record.seconds;
    std::set<std::string> kinds;
    const auto add = [&](const std::string& kind, const std::string& reason) {
      kinds.insert(kind);
      found.example.try_emplace(kind, reason);
    };
    for (const Check& check : record.checks)
      if (check.status != Status::passed) add(collapsed(check.kind), check.reason);
    if (record.status != Status::passed && kinds.empty())
      add(std::string(name(record.status)), record.reason);
    if (record.status != Status::passed && record.status != Status::error) ++found.rejected;
    for (const std::string& kind : kinds) ++found.rejected_by[kind];
    for (const std::string& kind : expected)
      if (!kinds.contains(kind)) ++found.missed[kind];
  }

  Device& device_;
  const SelftestOptions& options_;
  std::vector<Case> cases_;
  SelftestResult result_;
};

}  // namespace

std::set<std::string> kinds_on(const Device& device) {
  std::set<std::string> kinds = {"interval", "exact",     "bias",   "relation", "repeat",
                                 "batch",    "isolation", "inputs", "guards",   "stream",
                                 "power",    "schedule",  "step",   "whole"};
  if (device.has_fences()) kinds.insert("fence");
  if (!device.clock().empty()) kinds.insert({"after_timing", "fresh"});
  if (device.info().backend == Backend::cuda) kinds.insert("replay");
  if (device.info().backend == Backend::simt)
    kinds.insert({"race", "uninitialised", "out_of_bounds", "write_to_input", "misaligned",
                  "divergence", "undefined_behaviour", "hang"});
  return kinds;
}

SelftestResult run_selftest(Device& device, const std::vector<Problem>& problems,
                            const SelftestOptions& options) {
  Selftest test(device, options);
  for (const Variant* variant : variants())
    if (variant->backend == device.info().backend) test.add_correct(*variant, false, problems);
  for (const Liar* liar : liars()) {
    if (!runs_on(liar->variant, device)) continue;
    if (liar->bug.empty())
      test.add_correct(liar->variant, true, problems_of(*liar));
    else
      test.add_liar(*liar);
  }
  test.run();
  test.tolerances();
  return test.take();
}

std::int64_t SelftestResult::total_elements() const {
  std::int64_t sum = 0;
  for (const auto& [output, count] : elements) sum += count;
  return sum;
}

double SelftestResult::largest_used() const {
  double most = 0;
  for (const auto& [family, values] : used)
    for (const double value : values) most = std::max(most, value);
  return most;
}

std::vector<std::string> SelftestResult::without_own_liar() const {
  std::set<std::string> missing = checks;
  for (const LiarResult& liar : liars)
    if (liar.rejected_by.size() == 1 && liar.rejected_by.begin()->second == liar.runs)
      missing.erase(liar.rejected_by.begin()->first);
  return {missing.begin(), missing.end()};
}

bool SelftestResult::good() const {
  return accused.empty() && std::none_of(liars.begin(), liars.end(), [](const LiarResult& liar) {
           return liar.survived() || !liar.missed.empty();
         });
}

}  // namespace assay
