// The corpus of liars as far as today's checks go: every one runs, each that is wrong in a way that
// those see is rejected by a check that it names, and no control is.
#include <algorithm>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "harness/core/host.h"
#include "harness/core/liar.h"
#include "harness/core/registry.h"
#include "harness/core/text.h"
#include "harness/engine/run_case.h"
#include "harness/engine/suite.h"
#include "harness/testing.h"

namespace assay {
namespace {

std::vector<const Liar*> simt_liars() {
  std::vector<const Liar*> found;
  for (const Liar* liar : liars())
    if (liar->variant.backend == Backend::simt) found.push_back(liar);
  return found;
}

// The problem of a liar, at one dtype of those at which it lies.
Problem problem_of(const Liar& liar, std::size_t choice) {
  std::string text = liar.problem;
  if (text.find("dtype=") == std::string::npos)
    text.insert(text.find(' '),
                " dtype=" + std::string(name(kAllDTypes[choice % std::size(kAllDTypes)])));
  return parse_problem(text);
}

Record run(const Liar& liar, const Problem& problem, std::uint64_t seed) {
  static const auto device = find_platform(Backend::simt)->open(0);
  static Oracle oracle(available_memory());
  RunOptions options;
  options.seed = seed;
  options.verify_only = true;
  options.execution.timeout = 1;
  return run_case({problem, &liar.variant, device.get()}, oracle, options);
}

// What the engine reports now.
const std::set<std::string> kKnownKinds = {
    "interval",      "repeat",         "guards",     "power",      "race",
    "uninitialised", "out_of_bounds",  "misaligned", "divergence", "undefined_behaviour",
    "hang",          "write_to_input",
};

// Liars that are right on the other families; an empty name: on all that are laid out as now.
const std::map<std::string, std::string> kNeedsFamily = {
    {"omits_maximum", "large_logits"}, {"maximum_from_zero", "large_logits"},
    {"drops_ties", "identical"},       {"hides_nan", "nan"},
    {"adds_zero_times_others", "nan"}, {"skips_zeros", "zeros"},
    {"rounds_base_down", ""},
};

bool is_visible(const Liar& liar, const Problem& problem) {
  if (std::none_of(liar.caught_by.begin(), liar.caught_by.end(),
                   [](const std::string& kind) { return kKnownKinds.contains(kind); }))
    return false;
  const auto needed = kNeedsFamily.find(liar.variant.name);
  return needed == kNeedsFamily.end() || op_of(problem).find_family(needed->second) != nullptr;
}

// Whether the reference knows the terms of what a kernel declares to round to 16 bits.
bool is_bounded(const Liar& liar, const Problem& problem) {
  const Numerics declared = liar.variant.numerics(problem);
  Numerics plain = declared;
  plain.probabilities = plain.weights = plain.partials = DType::f32;
  if (plain == declared) return true;
  Oracle oracle(available_memory());
  const auto with = oracle.expected(problem, "gaussian", 1, declared);
  const auto without = oracle.expected(problem, "gaussian", 1, plain);
  for (std::size_t o = 0; o < with->size(); ++o)
    if (with->at(o).bound[0] != without->at(o).bound[0]) return true;
  return false;
}

}  // namespace

TEST_CASE("the corpus has at least 60 different bugs and none among the variants") {
  const std::vector<const Liar*> all = simt_liars();
  std::set<std::string> names, bugs;
  for (const Liar* liar : all) {
    INFO(liar->variant.name);
    CHECK(names.insert(liar->variant.name).second);
    CHECK_FALSE(liar->problem.empty());
    if (liar->bug.empty()) {
      CHECK(liar->caught_by.empty());
    } else {
      CHECK(bugs.insert(liar->bug).second);
    }
  }
  CHECK(bugs.size() >= 60);
  for (const Variant* variant : variants())
    for (const Liar* liar : liars()) CHECK(variant->id() != liar->variant.id());
}

TEST_CASE("liars are rejected by the checks that they name, controls by none") {
  constexpr std::uint64_t kSeed = 1;
  int rejected = 0, passed = 0;
  const std::vector<const Liar*> all = simt_liars();
  for (std::size_t i = 0; i < all.size(); ++i) {
    const Liar& liar = *all[i];
    const Problem problem = problem_of(liar, i);
    const Record record = run(liar, problem, kSeed);
    std::set<std::string> kinds;
    for (const Check& check : record.checks)
      if (check.status == Status::failed || check.status == Status::timeout)
        kinds.insert(check.kind);
    INFO(liar.variant.name << " on " << str(problem));
    INFO(name(record.status) << ": " << record.reason);
    INFO("rejected by: " << join({kinds.begin(), kinds.end()}));
    CHECK(record.status != Status::error);
    CHECK(record.status != Status::unsupported);
    if (liar.bug.empty()) {
      if (!is_bounded(liar, problem)) continue;
      CHECK(kinds.empty());
      ++passed;
      continue;
    }
    if (is_visible(liar, problem)) {
      for (const std::string& kind : liar.caught_by)
        CHECK((kinds.contains(kind) || kind == "power" || !kKnownKinds.contains(kind)));
      ++rejected;
    }
    // One kind but for plain wrongness: no other check may see it.
    if (liar.caught_by.size() == 1 && liar.caught_by[0] != "interval")
      CHECK((kinds.empty() || kinds == std::set{liar.caught_by[0]}));
  }
  CHECK(rejected > 60);
  CHECK(passed > 0);
}

}  // namespace assay
