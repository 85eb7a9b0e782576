// The self-test of verification: every liar of the corpus must be rejected, by the checks that it
// names, at every seed; no correct variant may be. What it finds are numbers; selftest_report.h
// makes them readable.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "harness/core/liar.h"
#include "harness/engine/runner.h"

namespace assay {

struct SelftestOptions {
  RunOptions run;  // its seed is the first
  int seeds = 2;
  bool dtypes_in_turn = false;  // a liar runs in one dtype for each seed, not in all
  double limit = 0;             // seconds after which no case begins; 0: none
  int jobs = 1;                 // cases at a time, each in a runner and thread of its own
  std::function<std::unique_ptr<Runner>()> make_runner;
  // Before each case, by one thread at a time: how many were begun, of how many.
  std::function<void(const std::string& what, std::size_t begun, std::size_t all)> progress{};
};

// What became of one liar over all its problems and seeds.
struct LiarResult {
  const Liar* liar = nullptr;
  bool due = false;  // whether this backend must reject it
  int runs = 0, rejected = 0;
  std::map<std::string, int> rejected_by;        // kind, relations as one -> runs
  std::map<std::string, int> missed;             // expected kind -> runs in which it said nothing
  std::map<std::string, std::string> example{};  // kind -> the first reason given
  // The usual tolerance -> whether all its outputs pass, on gaussian inputs without g; nothing
  // where it can't be run like that.
  std::map<std::string, bool> close{};

  double seconds = 0;

  bool survived() const { return due && (runs == 0 || rejected < runs); }
};

struct Elements {  // of one output in one dtype
  std::string op, output;
  DType dtype = DType::f32;
  auto operator<=>(const Elements&) const = default;
};

struct SelftestResult {
  int seeds = 0;  // those whose cases all ran; the rest is about them
  std::vector<LiarResult> liars;
  int correct_runs = 0;
  std::vector<Record> accused;                      // correct variants that were rejected
  std::map<Elements, std::int64_t> elements;        // judged against an interval or to the bit
  std::map<std::string, std::vector<double>> used;  // family -> largest utilisation of each check,
                                                    // of correct variants
  std::set<std::string> checks;                     // kinds that this backend has

  std::int64_t total_elements() const;
  double largest_used() const;
  // Kinds that no liar is rejected by alone, in all its runs.
  std::vector<std::string> without_own_liar() const;
  bool good() const;
};

// The kinds of checks by which a backend can reject anything.
std::set<std::string> kinds_on(const Device& device);

// Runs the liars and controls that the device can run (cpu: those of the simt executor, which times
// and fences them), and its variants on `problems`. `device` is for what needs no verification.
// Throws UsageError where not even the first seed was done in time.
SelftestResult run_selftest(Device& device, const std::vector<Problem>& problems,
                            const SelftestOptions& options);

}  // namespace assay
