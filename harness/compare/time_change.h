// The test that decides whether a time has changed: how the ratio of two medians compares with what
// runs of the same code differ by.
#pragma once

#include <vector>

#include "harness/compare/median_time.h"
#include "harness/compare/thresholds.h"
#include "reports/comparison.h"

namespace assay {

// From one run or several on either side. Ratio, interval, p; `change` is left unclear.
TimeChange test_times(const std::vector<MedianTime>& base, const std::vector<MedianTime>& next,
                      const TimeThresholds& thresholds, double confidence);

// faster, slower, same or unclear, given the largest p that is a finding.
Change judge(const TimeChange& time, double limit, const TimeThresholds& thresholds);

}  // namespace assay
