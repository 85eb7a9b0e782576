// What has changed in what two records of one case computed. Inputs are the same bit by bit, so
// that any difference is one of the code.
#pragma once

#include <vector>

#include "harness/compare/thresholds.h"
#include "harness/core/record.h"
#include "reports/comparison.h"

namespace assay {

// Verdict, largest utilisation, rms error, repeatability and declared numerics; only what differs.
std::vector<NumericChange> compare_numerics(const Record& base, const Record& next,
                                            const Thresholds& thresholds);

}  // namespace assay
