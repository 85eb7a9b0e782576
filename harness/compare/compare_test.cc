// What a comparison says of files whose truth is known: identical ones, slower ones, other
// machines.
#include "harness/compare/compare.h"

#include "harness/compare/experiment.h"
#include "harness/compare/testing_records.h"
#include "harness/core/error.h"
#include "harness/testing.h"
#include "harness/testing_program.h"

namespace assay {
namespace {

std::string refusal(const Results& base, const Results& next) {
  try {
    compare(base, next, {});
  } catch (const UsageError& error) {
    return error.what();
  }
  return "none";
}

// The fields of the only case of a file.
Results one_case() {
  Results results;
  results.environments = {machine("old")};
  add(results, timed_case(results.environments[0], "fused", 64, 1e-4, 1));
  return results;
}

template <class Change>
CaseChange changed(const Change& change, const Thresholds& thresholds = {}) {
  const Results base = one_case();
  Results next = one_case();
  change(next.records[0]);
  return compare(base, next, {.thresholds = thresholds}).cases.at(0);
}

std::string only(const CaseChange& change) {
  REQUIRE(change.numerics.size() == 1);
  return (change.numerics[0].regression ? "worse: " : "other: ") + change.numerics[0].text;
}

}  // namespace

TEST_CASE("a slowdown of five percent is found, with its size and an interval around it") {
  const Results base = simulated_run("old", 50, 1);
  Results next = simulated_run("new", 50, 2);
  scale(next.records[7], 1.05);
  scale(next.records[8], 0.9);
  const Comparison comparison = compare(base, next, {});
  CHECK(comparison.count(Change::slower) == 1);
  CHECK(comparison.count(Change::faster) == 1);
  CHECK(comparison.count(Change::same) == 48);
  const TimeChange& slower = comparison.cases[7].times.at(0);
  CHECK(slower.change == Change::slower);
  CHECK(slower.ratio == Approx(1.05).margin(0.015));
  CHECK(slower.low < 1.05);
  CHECK(slower.high > 1.05);
  CHECK(slower.high - slower.low < 0.04);
  CHECK(slower.why == "not re-run");
  CHECK(comparison.regressions() == 1);
  CHECK(comparison.differences == std::vector<std::string>{"commit: old, now new"});
  CHECK(contains(summary(comparison), "50 cases compared, 50 times: 48 same, 1 faster, 1 slower"));
}

TEST_CASE("identical code is not accused, and planted slowdowns are found, in simulated runs") {
  std::vector<Results> runs;
  for (std::uint64_t run = 0; run < 12; ++run) runs.push_back(simulated_run("same", 50, 100 + run));
  const Experiment experiment = run_experiment(runs, {});
  for (const FalseAlarms& alarms : experiment.false_alarms) {
    CHECK(alarms.comparisons == 3300);
    CHECK(alarms.slower * 1000 < alarms.comparisons);
    CHECK(alarms.accused_files * 50 < alarms.files);
  }
  for (const Detection& detection : experiment.detections) {
    INFO(detection.slowdown);
    CHECK(detection.planted > 400);
    if (detection.slowdown >= 0.05) CHECK(detection.found * 100 >= detection.planted * 95);
    CHECK(detection.accused * 1000 < detection.innocent);
  }
  CHECK(experiment.scatter.at(0).run_to_run == Approx(0.003).margin(0.002));
  CHECK(contains(str(experiment), "| as they are | 3300 |"));
}

TEST_CASE("runs that differ more than is allowed for are accused, unless that is said") {
  // What the allowance for differences between runs is for: such a machine needs a larger one.
  std::vector<Results> runs;
  for (std::uint64_t run = 0; run < 8; ++run)
    runs.push_back(simulated_run("same", 50, 200 + run, 0.03));
  CHECK(run_experiment(runs, {}).false_alarms[0].accused_files > 0);
  ExperimentOptions options;
  options.thresholds.time.run_to_run = 0.04;
  CHECK(run_experiment(runs, options).false_alarms[0].accused_files == 0);
  CHECK_THROWS_AS(run_experiment({runs[0], runs[1]}, {}), UsageError);
  CHECK_THROWS_AS(run_experiment({runs[0], runs[1], simulated_run("other", 50, 1)}, {}),
                  UsageError);
}

TEST_CASE("suspects are run again, and the fresh runs decide") {
  const Results base = simulated_run("old", 20, 1);
  Results next = simulated_run("new", 20, 2);
  scale(next.records[3], 1.10);  // an accident of that run
  scale(next.records[4], 1.10);  // the code
  int runs = 0;
  CompareOptions options;
  options.rerun = [&](const Record& record, std::string&) {
    ++runs;
    const bool guilty = record.problem == base.records[4].problem;
    return timed_case(machine("new"), "fused", guilty ? 5 : 4, guilty ? 1.1e-4 : 1e-4,
                      static_cast<std::uint64_t>(runs));
  };
  const Comparison comparison = compare(base, next, options);
  CHECK(runs == 6);
  CHECK(comparison.count(Change::slower) == 1);
  CHECK(comparison.cases[4].times[0].change == Change::slower);
  CHECK(comparison.cases[4].times[0].why == "confirmed by re-runs");
  CHECK(comparison.cases[4].times[0].reruns == 3);
  CHECK(comparison.cases[3].times[0].change == Change::same);
  CHECK(contains(comparison.cases[3].times[0].why, "its re-runs are not"));

  options.rerun = [](const Record&, std::string& why_not) {
    why_not = "no device";
    return std::nullopt;
  };
  const Comparison without = compare(base, next, options);
  CHECK(without.count(Change::slower) == 2);
  CHECK(without.cases[3].times[0].why == "not re-run: no device");
}

TEST_CASE("times that can't be compared are unclear, and say why") {
  const auto time = [](const CaseChange& change) { return change.times.at(0); };
  const TimeChange clock = time(changed([](Record& r) {
    r.measurements[0].clock = "steady_clock";
    scale(r, 2);
  }));
  CHECK(clock.change == Change::unclear);
  CHECK(clock.why == "timed by cuda_event, now by steady_clock");
  const TimeChange few = time(changed([](Record& r) {
    r.measurements[0].taken.resize(4);
    scale(r, 2);
  }));
  CHECK(few.change == Change::unclear);
  CHECK(few.why == "only 4 samples");
  const TimeChange slow_clock = time(changed([](Record& r) {
    scale(r, 1.1);
    for (Sample& sample : r.measurements[0].taken) sample.sm_mhz = 1755;
  }));
  CHECK(slow_clock.change == Change::unclear);
  CHECK(slow_clock.why == "the SM clock was 1980 MHz, now 1755 MHz");
  CHECK(changed([](Record& r) { r.measurements[0].cache = "hot"; }).times.empty());
}

TEST_CASE("without samples, medians and percentiles are compared") {
  const auto time = [](double factor) {
    return changed([&](Record& r) {
             r.measurements[0].taken.clear();
             scale(r, factor);
           })
        .times.at(0);
  };
  CHECK(time(1).change == Change::same);
  CHECK(time(1.1).change == Change::slower);
}

TEST_CASE("numerics: what got worse is a regression, what is merely different is named") {
  CHECK(changed([](Record&) {}).numerics.empty());
  CHECK(only(changed([](Record& r) { r.checks[0].utilisation = 0.2; })) ==
        "worse: error/bound of O (family gaussian, seed 1, check interval) was 0.100, now 0.200");
  CHECK(changed([](Record& r) { r.checks[0].utilisation = 0.14; }).numerics.empty());
  CHECK(only(changed([](Record& r) { r.checks[0].error_rms = 2e-4; })) ==
        "worse: rms error of O (family gaussian, seed 1, check interval) was 0.0001, now 0.0002");
  CHECK(only(changed([](Record& r) { r.checks[0].utilisation = std::nan(""); })).substr(0, 6) ==
        "worse:");
  CHECK(only(changed([](Record& r) { r.repeatability = "order_dependent"; })) ==
        "worse: declared bitwise, now order_dependent");
  CHECK(only(changed([](Record& r) { r.repeatability = "batch_invariant"; })) ==
        "other: declared bitwise, now batch_invariant");
  CHECK(only(changed([](Record& r) { r.numerics = "f16 accumulation"; })).substr(0, 6) == "other:");
  const CaseChange failed = changed([](Record& r) {
    r.status = Status::failed;
    r.reason = "O[3] = nan";
    scale(r, 2);
  });
  CHECK(only(failed) == "worse: passed, now failed: O[3] = nan");
  CHECK(failed.times.empty());
  CHECK(changed([](Record& r) { r.status = Status::unsupported; }).regression());

  Results base = one_case();
  base.records[0].status = Status::crashed;
  const Comparison mended = compare(base, one_case(), {});
  CHECK(only(mended.cases[0]) == "other: crashed, now passed");
  // Small errors that double are no finding.
  base = one_case();
  base.records[0].checks[0].utilisation = 0.01;
  Results next = one_case();
  next.records[0].checks[0].utilisation = 0.04;
  CHECK(compare(base, next, {}).cases[0].numerics.empty());
}

TEST_CASE("other machines, contracts and seeds are refused, and compared if that is asked for") {
  const Results base = one_case();
  Results next = one_case();
  next.records[0].device = "NVIDIA H200";
  CHECK(contains(refusal(base, next), "made on different machines: NVIDIA H100; and NVIDIA H200"));
  CHECK(contains(refusal(base, next), "--across-devices"));
  CHECK(compare(base, next, {.across = {.devices = true}}).cases.size() == 1);

  next = Results{};
  next.environments = {machine("new", "NVIDIA H100", "500 W")};
  add(next, timed_case(next.environments[0], "fused", 64, 1e-4, 1));
  CHECK(contains(refusal(base, next), "power limit of NVIDIA H100 was 700 W and is 500 W"));
  CHECK(compare(base, next, {.across = {.devices = true}}).cases.size() == 1);

  next = one_case();
  next.records[0].contract = "decaf";
  CHECK(
      contains(refusal(base, next), "the contract of attnres_fwd has changed (c0ffee, now decaf)"));
  CHECK(contains(refusal(base, next), "--across-contracts"));
  CHECK(compare(base, next, {.across = {.contracts = true}}).cases.size() == 1);
  next.records[0].contract = "";
  CHECK(contains(compare(base, next, {}).notes.at(0), "1 case without the contract's id"));
  next.records[0].measurements[0].bytes_read *= 2;
  CHECK(contains(refusal(base, next), "the least bytes or operations"));

  next = one_case();
  next.records[0].checks[0].seed = 2;
  CHECK(contains(refusal(base, next), "inputs of other seeds (1, now 2)"));
  CHECK(compare(base, next, {.across = {.seeds = true}}).cases.size() == 1);
}

TEST_CASE("cases on one side alone are named, and files without a common case are refused") {
  const Results base = simulated_run("old", 3, 1);
  Results next;
  next.environments = {machine("new")};
  add(next, base.records[1]);
  add(next, timed_case(next.environments[0], "naive", 2, 1e-4, 1));
  CompareOptions options;
  const Comparison comparison = compare(base, next, options);
  CHECK(comparison.cases.size() == 1);
  REQUIRE(comparison.only_in_base.size() == 2);
  CHECK(comparison.only_in_base[0] ==
        "attnres_fwd/fused@cuda on `attnres_fwd dtype=bf16 N=9 T=1 D=2048` (NVIDIA H100)");
  CHECK(comparison.only_in_next.size() == 1);
  CHECK(comparison.regressions() == 0);
  options.thresholds.missing_is_regression = true;
  CHECK(compare(base, next, options).regressions() == 2);

  Results other;
  add(other, timed_case(next.environments[0], "naive", 2, 1e-4, 1));
  CHECK(contains(refusal(base, other), "no case is in both files"));
}

TEST_CASE("geometric means by variant and of all") {
  const Results base = simulated_run("old", 2, 1);
  Results next = base;
  scale(next.records[0], 2);
  scale(next.records[1], 0.5);
  const Comparison comparison = compare(base, next, {});
  REQUIRE(comparison.means.size() == 2);
  CHECK(comparison.means[0].variant == "fused@cuda");
  CHECK(comparison.means[0].ratio == Approx(1));
  CHECK(comparison.means[1].op.empty());
  CHECK(comparison.means[1].cases == 2);
}

}  // namespace assay
