// Compares two files of results, case by case: times by a test that knows how much runs of the same
// code differ, numerics exactly.
//
// A time is called a change where the ratio of the medians differs from 1 by more than the least
// effect, surely: p is the probability of a ratio so extreme if the true one were at the least
// effect, from the spread of the samples (median_time.h) and what is known of the differences
// between runs (thresholds.h), and Benjamini and Hochberg's procedure over the whole file decides
// which p are small enough. What is called slower then is a suspect: it is run again, and what the
// fresh runs say counts, not the one that made it a suspect.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "harness/compare/pairs.h"
#include "harness/compare/thresholds.h"
#include "reports/comparison.h"

namespace assay {

// Runs the case of a record again. Where that can't be done: nothing, and `why_not` says why.
using Rerun = std::function<std::optional<Record>(const Record& record, std::string& why_not)>;

struct CompareOptions {
  Thresholds thresholds;
  Across across;
  Rerun rerun;       // the new code; null: suspects are judged by what is there
  Rerun rerun_base;  // the old code, in turn with the new one; null: its record stands
};

// Throws what pair_up throws.
Comparison compare(const Results& base, const Results& next, const CompareOptions& options);

}  // namespace assay
