#include "harness/compare/experiment.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "harness/compare/compare.h"
#include "harness/compare/median_time.h"
#include "harness/core/error.h"
#include "reports/samples.h"

namespace assay {
namespace {

using Key = std::string;

Key key_of(const Record& record) { return record.id() + "\n" + record.problem; }

// The samples of all runs, read once.
std::vector<Results> with_samples(const std::vector<Results>& runs) {
  std::vector<Results> loaded = runs;
  SampleReader reader;
  for (Results& run : loaded)
    for (Record& record : run.records)
      for (Measurement& measurement : record.measurements)
        measurement.taken = reader.read(measurement);
  return loaded;
}

void slow_down(Record& record, double slowdown) {
  for (Measurement& measurement : record.measurements) {
    for (Sample& sample : measurement.taken) sample.seconds *= 1 + slowdown;
    measurement.median *= 1 + slowdown;
    measurement.p05 *= 1 + slowdown;
    measurement.p95 *= 1 + slowdown;
  }
}

// Hands out other runs of a case than the two that are compared: odd ones for one side, even ones
// for the other.
class Replay {
 public:
  Replay(const std::vector<Results>& runs, std::size_t base, std::size_t next, std::size_t first,
         const std::set<Key>& planted, double slowdown)
      : runs_(runs), planted_(planted), slowdown_(slowdown) {
    for (std::size_t i = 0; i < runs.size(); ++i)
      if (const std::size_t run = (next + 1 + i) % runs.size(); run != base && run != next)
        if (others_++ % 2 == first) order_.push_back(run);
  }
  std::optional<Record> operator()(const Record& record, std::string& why_not) {
    std::size_t& turn = turns_[key_of(record)];
    while (turn < order_.size()) {
      for (const Record& other : runs_[order_[turn]].records) {
        if (key_of(other) != key_of(record)) continue;
        ++turn;
        Record fresh = other;
        if (planted_.contains(key_of(record))) slow_down(fresh, slowdown_);
        return fresh;
      }
      ++turn;
    }
    why_not = "there are no further runs";
    return std::nullopt;
  }

 private:
  const std::vector<Results>& runs_;
  const std::set<Key>& planted_;
  double slowdown_;
  std::size_t others_ = 0;
  std::vector<std::size_t> order_;
  std::map<Key, std::size_t> turns_;
};

class Laboratory {
 public:
  Laboratory(const std::vector<Results>& runs, const ExperimentOptions& options)
      : runs_(with_samples(runs)), options_(options) {}

  FalseAlarms alarms(bool reruns) const {
    FalseAlarms result{.reruns = reruns};
    for_each_pair([&](std::size_t base, std::size_t next, std::size_t) {
      const Comparison comparison = compare_pair(base, next, reruns, {}, 0);
      result.slower += comparison.count(Change::slower);
      result.faster += comparison.count(Change::faster);
      result.same += comparison.count(Change::same);
      result.unclear += comparison.count(Change::unclear);
      ++result.files;
      result.accused_files += comparison.count(Change::slower) > 0 ? 1 : 0;
    });
    result.comparisons = result.slower + result.faster + result.same + result.unclear;
    return result;
  }

  Detection detect(double slowdown, bool reruns) const {
    Detection result{.slowdown = slowdown, .reruns = reruns};
    for_each_pair([&](std::size_t base, std::size_t next, std::size_t number) {
      const std::set<Key> planted = choose(next, number);
      const Comparison comparison = compare_pair(base, next, reruns, planted, slowdown);
      for (const CaseChange& one : comparison.cases) {
        const bool guilty = planted.contains(one.id() + "\n" + one.problem);
        for (const TimeChange& time : one.times) {
          const bool slower = time.change == Change::slower;
          (guilty ? result.planted : result.innocent) += 1;
          (guilty ? result.found : result.accused) += slower ? 1 : 0;
        }
      }
    });
    return result;
  }

  std::vector<Scatter> scatter() const {
    std::map<std::pair<Key, std::string>, std::vector<MedianTime>> medians;
    std::vector<Scatter> result;
    for (const Results& run : runs_)
      for (const Record& record : run.records)
        for (const Measurement& measurement : record.measurements)
          medians[{key_of(record), measurement.cache}].push_back(
              measurement.taken.empty() ? median_time(measurement)
                                        : median_time(measurement.taken));
    for (const Record& record : runs_.front().records)
      for (const Measurement& measurement : record.measurements)
        result.push_back(
            scatter_of(record, measurement.cache, medians[{key_of(record), measurement.cache}]));
    return result;
  }

 private:
  template <class Body>
  void for_each_pair(const Body& body) const {
    std::size_t number = 0;
    for (std::size_t base = 0; base < runs_.size(); ++base)
      for (std::size_t next = base + 1; next < runs_.size(); ++next) body(base, next, number++);
  }

  std::set<Key> choose(std::size_t run, std::size_t number) const {
    std::set<Key> chosen;
    std::size_t place = number;
    for (const Record& record : runs_[run].records) {
      if (record.measurements.empty() ||
          record.measurements.front().median < options_.least_seconds)
        continue;
      if (place++ % static_cast<std::size_t>(options_.every) == 0) chosen.insert(key_of(record));
    }
    return chosen;
  }

  Comparison compare_pair(std::size_t base, std::size_t next, bool reruns,
                          const std::set<Key>& planted, double slowdown) const {
    CompareOptions options;
    options.thresholds = options_.thresholds;
    if (reruns) {
      options.rerun = Replay(runs_, base, next, 0, planted, slowdown);
      static const std::set<Key> none;
      options.rerun_base = Replay(runs_, base, next, 1, none, 0);
    }
    if (planted.empty()) return compare(runs_[base], runs_[next], options);
    Results slowed = runs_[next];
    for (Record& record : slowed.records)
      if (planted.contains(key_of(record))) slow_down(record, slowdown);
    return compare(runs_[base], slowed, options);
  }

  static Scatter scatter_of(const Record& record, const std::string& cache,
                            const std::vector<MedianTime>& runs) {
    Scatter result{.id = record.id(), .problem = record.problem, .cache = cache};
    std::vector<double> logs, within;
    for (const MedianTime& run : runs) {
      logs.push_back(run.log_seconds);
      within.push_back(run.standard_error);
    }
    std::sort(logs.begin(), logs.end());
    std::sort(within.begin(), within.end());
    const auto at = [](const std::vector<double>& sorted, double share) {
      const double place = std::round(share * static_cast<double>(sorted.size() - 1));
      return sorted[static_cast<std::size_t>(place)];
    };
    result.median = std::exp(at(logs, 0.5));
    result.run_to_run = (at(logs, 0.75) - at(logs, 0.25)) / 1.349;
    result.within = at(within, 0.5);
    result.range = std::expm1(logs.back() - logs.front());
    return result;
  }

  std::vector<Results> runs_;
  const ExperimentOptions& options_;
};

std::string percent(std::int64_t part, std::int64_t all) {
  return all == 0
             ? "-"
             : fmt::format("{:.2f} %", 100 * static_cast<double>(part) / static_cast<double>(all));
}

}  // namespace

Experiment run_experiment(const std::vector<Results>& runs, const ExperimentOptions& options) {
  if (runs.size() < 3)
    throw UsageError(
        fmt::format("{} runs are too few: name at least three files, of identical code and one "
                    "run each",
                    runs.size()));
  Experiment result;
  std::set<std::string> devices, commits;
  for (const Results& run : runs) {
    for (const Record& record : run.records) devices.insert(record.device);
    for (const Environment& environment : run.environments)
      for (const auto& [key, value] : environment.facts)
        if (key == "commit") commits.insert(value);
  }
  if (commits.size() > 1)
    throw UsageError("runs of several commits are no runs of identical code: " +
                     fmt::format("{}", fmt::join(commits, ", ")));
  result.devices.assign(devices.begin(), devices.end());
  result.commits.assign(commits.begin(), commits.end());
  result.runs = runs.size();
  const Laboratory laboratory(runs, options);
  for (const bool reruns : {false, true}) result.false_alarms.push_back(laboratory.alarms(reruns));
  for (const double slowdown : options.slowdowns)
    for (const bool reruns : {false, true})
      result.detections.push_back(laboratory.detect(slowdown, reruns));
  result.scatter = laboratory.scatter();
  return result;
}

std::string str(const Experiment& experiment) {
  std::string text = fmt::format(
      "# Runs of identical code, compared\n\n{} runs on {}, commit {}; all pairs. Suspects that "
      "are run again take further runs of the same code, in turn for either side.\n\n"
      "| suspects | comparisons | called slower | share | called faster | same | unclear | pairs "
      "of "
      "files | with a time called slower | share |\n"
      "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
      experiment.runs, fmt::join(experiment.devices, ", "), fmt::join(experiment.commits, ", "));
  for (const FalseAlarms& a : experiment.false_alarms)
    text += fmt::format("| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |\n",
                        a.reruns ? "run again" : "as they are", a.comparisons, a.slower,
                        percent(a.slower, a.comparisons), a.faster, a.same, a.unclear, a.files,
                        a.accused_files, percent(a.accused_files, a.files));
  text +=
      "\n## Planted slowdowns\n\nThe recorded samples of some cases of a file made longer; times "
      "of "
      "20 µs and more.\n\n"
      "| slowdown | suspects | planted | found | share | others | called slower | share |\n"
      "| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |\n";
  for (const Detection& d : experiment.detections)
    text += fmt::format("| {:.0f} % | {} | {} | {} | {} | {} | {} | {} |\n", 100 * d.slowdown,
                        d.reruns ? "run again" : "as they are", d.planted, d.found,
                        percent(d.found, d.planted), d.innocent, d.accused,
                        percent(d.accused, d.innocent));
  text +=
      "\n## How much runs differ\n\nStandard deviation of a median from run to run (by the "
      "quartiles of all runs), beside what the samples of one run let expect.\n\n"
      "| case | variant | cache | median | run to run | expected | largest over smallest |\n"
      "| --- | --- | --- | ---: | ---: | ---: | ---: |\n";
  for (const Scatter& s : experiment.scatter)
    text += fmt::format("| {} | {} | {} | {:.3g} µs | {:.2f} % | {:.2f} % | {:.1f} % |\n",
                        s.problem, s.id.substr(s.id.find('/') + 1), s.cache, s.median * 1e6,
                        s.run_to_run * 100, s.within * 100, s.range * 100);
  return text;
}

}  // namespace assay
