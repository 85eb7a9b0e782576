#include "harness/compare/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <tuple>

#include "harness/compare/false_discovery.h"
#include "harness/compare/median_time.h"
#include "harness/compare/numerics.h"
#include "harness/compare/time_change.h"
#include "harness/core/parallel.h"
#include "reports/samples.h"

namespace assay {
namespace {

constexpr std::int64_t kFewestSamples = 5;  // with fewer, order statistics say nothing

// One time of one case.
struct Timed {
  std::size_t pair = 0;
  const Measurement* base = nullptr;
  const Measurement* next = nullptr;
  std::vector<Sample> base_samples, next_samples;
  MedianTime was, is;
  TimeChange time;
  const TimeThresholds* thresholds = nullptr;
  bool comparable = true;

  void forget() {  // samples of thousands of cases are a lot
    base_samples = {};
    next_samples = {};
  }
};

const Measurement* find(const Record& record, const std::string& cache) {
  for (const Measurement& measurement : record.measurements)
    if (measurement.cache == cache) return &measurement;
  return nullptr;
}

MedianTime estimate(const Measurement& measurement, const std::vector<Sample>& samples) {
  return samples.empty() ? median_time(measurement) : median_time(samples);
}

// Why two times can't be compared, or an empty text.
std::string incomparable(const Timed& timed, double clock_within) {
  if (timed.base->clock != timed.next->clock)
    return fmt::format("timed by {}, now by {}", timed.base->clock, timed.next->clock);
  const std::int64_t fewest = std::min(timed.was.samples, timed.is.samples);
  if (fewest < kFewestSamples) return fmt::format("only {} samples", fewest);
  if (timed.was.sm_mhz > 0 && timed.is.sm_mhz > 0 &&
      std::abs(timed.is.sm_mhz / timed.was.sm_mhz - 1) > clock_within)
    return fmt::format("the SM clock was {:.0f} MHz, now {:.0f} MHz", timed.was.sm_mhz,
                       timed.is.sm_mhz);
  return "";
}

class Comparer {
 public:
  Comparer(const Results& base, const Results& next, const CompareOptions& options)
      : options_(options), pairs_(pair_up(base, next, options.across)) {
    result_.notes = pairs_.notes;
    result_.differences = environment_differences(base, next, pairs_.pairs);
    result_.confidence = options.thresholds.confidence;
    result_.missing_is_regression = options.thresholds.missing_is_regression;
    for (const Record* record : pairs_.only_in_base) result_.only_in_base.push_back(title(*record));
    for (const Record* record : pairs_.only_in_next) result_.only_in_next.push_back(title(*record));
  }

  Comparison compare() {
    collect();
    test();
    rerun_suspects();
    for (Timed& timed : times_) {
      auto& all = result_.cases[timed.pair].times;
      all.push_back(std::move(timed.time));
    }
    add_means();
    return std::move(result_);
  }

 private:
  static std::string title(const Record& record) {
    return fmt::format("{} on `{}` ({})", record.id(), record.problem, record.device);
  }

  void collect() {
    SampleReader base_samples, next_samples;
    for (std::size_t i = 0; i < pairs_.pairs.size(); ++i) {
      const auto& [base, next] = pairs_.pairs[i];
      CaseChange change;
      change.op = next->op;
      change.problem = next->problem;
      change.variant = next->variant;
      change.backend = next->backend;
      change.device = next->device;
      change.repro = next->repro;
      change.numerics = compare_numerics(*base, *next, options_.thresholds);
      result_.cases.push_back(std::move(change));
      if (base->status != Status::passed || next->status != Status::passed) continue;
      for (const Measurement& measurement : next->measurements) {
        const Measurement* before = find(*base, measurement.cache);
        if (!before) continue;
        Timed timed;
        timed.pair = i;
        timed.base = before;
        timed.next = &measurement;
        timed.base_samples = base_samples.read(*before);
        timed.next_samples = next_samples.read(measurement);
        timed.thresholds = &options_.thresholds.for_case(next->id());
        times_.push_back(std::move(timed));
        if (times_.size() - estimated_ >= kBatch) estimate_all();
      }
    }
    estimate_all();
    for (const SampleReader* reader : {&base_samples, &next_samples})
      for (const std::string& note : reader->notes())
        result_.notes.push_back(note + "; medians and percentiles are compared there");
  }

  void estimate_all() {
    parallel_for(static_cast<std::int64_t>(times_.size() - estimated_), 1,
                 [&](std::int64_t begin, std::int64_t end) {
                   for (std::int64_t i = begin; i < end; ++i) {
                     Timed& timed = times_[estimated_ + static_cast<std::size_t>(i)];
                     timed.was = estimate(*timed.base, timed.base_samples);
                     timed.is = estimate(*timed.next, timed.next_samples);
                     timed.forget();
                   }
                 });
    estimated_ = times_.size();
  }

  void test() {
    std::vector<double> p_values;
    for (Timed& timed : times_) {
      timed.time =
          test_times({timed.was}, {timed.is}, *timed.thresholds, options_.thresholds.confidence);
      timed.time.cache = timed.next->cache;
      timed.time.why = incomparable(timed, options_.thresholds.clock_within);
      timed.comparable = timed.time.why.empty();
      if (timed.comparable) p_values.push_back(timed.time.p);
    }
    const double limit = discovery_limit(p_values, options_.thresholds.false_discovery_rate);
    for (Timed& timed : times_)
      if (timed.comparable) timed.time.change = judge(timed.time, limit, *timed.thresholds);
  }

  // What a suspect's fresh runs say, on one side.
  struct Fresh {
    std::vector<MedianTime> runs;
    std::string why_not;
    void take(const Rerun& rerun, const Record& record, const std::string& cache) {
      if (!why_not.empty()) return;
      const std::optional<Record> fresh = rerun(record, why_not);
      if (!fresh) return;
      const Measurement* measurement = find(*fresh, cache);
      if (fresh->status != Status::passed)
        why_not = fmt::format("its re-run {}: {}", name(fresh->status), fresh->reason);
      else if (!measurement)
        why_not = "its re-run has no such time";
      else
        runs.push_back(estimate(*measurement, SampleReader().read(*measurement)));
    }
  };

  void rerun_suspects() {
    std::vector<Timed*> suspects;
    std::vector<double> p_values;
    for (Timed& timed : times_) {
      if (timed.time.change != Change::slower) continue;
      if (!options_.rerun) {
        timed.time.why = "not re-run";
        continue;
      }
      const auto& [base, next] = pairs_.pairs[timed.pair];
      Fresh was, is;
      for (int i = 0; i < options_.thresholds.reruns; ++i) {
        if (options_.rerun_base) was.take(options_.rerun_base, *base, timed.time.cache);
        is.take(options_.rerun, *next, timed.time.cache);
      }
      if (is.runs.empty() || !is.why_not.empty()) {
        timed.time.why = "not re-run: " + is.why_not;
        continue;
      }
      const bool has_base = !was.runs.empty() && was.why_not.empty();
      TimeChange fresh = test_times(has_base ? was.runs : std::vector<MedianTime>{timed.was},
                                    is.runs, *timed.thresholds, options_.thresholds.confidence);
      fresh.cache = timed.time.cache;
      fresh.reruns = static_cast<int>(is.runs.size());
      timed.time = fresh;
      suspects.push_back(&timed);
      p_values.push_back(fresh.p);
    }
    const double limit = discovery_limit(p_values, options_.thresholds.false_discovery_rate);
    for (Timed* timed : suspects) {
      timed->time.change = judge(timed->time, limit, *timed->thresholds);
      timed->time.why = timed->time.change == Change::slower
                            ? "confirmed by re-runs"
                            : "was slower in the file, its re-runs are not";
    }
  }

  void add_means() {
    std::map<std::tuple<std::string, std::string, std::string>, std::pair<double, int>> sums;
    for (const CaseChange& one : result_.cases) {
      for (const TimeChange& time : one.times) {
        if (!std::isfinite(time.ratio)) continue;
        for (const auto& key : {std::tuple(one.op, one.bare_name(), time.cache),
                                std::tuple(std::string(kAll), std::string(), time.cache)}) {
          auto& [sum, cases] = sums[key];
          sum += std::log(time.ratio);
          ++cases;
        }
      }
    }
    for (const auto& [key, entry] : sums) {
      const auto& [op, variant, cache] = key;
      result_.means.push_back({op == kAll ? "" : op, variant, cache,
                               std::exp(entry.first / entry.second), entry.second});
    }
  }

  static constexpr std::size_t kBatch = 1024;  // cases whose samples are in memory at a time
  static constexpr const char* kAll = "\x7f";  // sorts behind every op

  const CompareOptions& options_;
  Pairs pairs_;
  Comparison result_;
  std::vector<Timed> times_;
  std::size_t estimated_ = 0;
};

}  // namespace

Comparison compare(const Results& base, const Results& next, const CompareOptions& options) {
  return Comparer(base, next, options).compare();
}

}  // namespace assay
