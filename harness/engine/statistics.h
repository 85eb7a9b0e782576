// Order statistics of samples.
#pragma once

#include <utility>
#include <vector>

#include "harness/core/record.h"

namespace assay {

// The value below which the share q (0 … 1) of the samples lies, interpolated linearly between
// neighbours (Hyndman & Fan's definition 7, the usual one). Throws std::invalid_argument for no
// samples.
double quantile(std::vector<double> samples, double q);

double median(std::vector<double> samples);

// From the order statistics one standard deviation of the binomial(n, 1/2) below and above the
// median: half their distance. It needs no assumption on the distribution. Infinite for fewer than
// 3 samples.
double standard_error_of_median(std::vector<double> samples);

// The percentile bootstrap interval of the median at `confidence` (0 … 1), in the limit of
// infinitely many resamples: the median of a resample is the sample of rank j or less with the
// probability that a binomial(n, j/n) reaches the middle. Throws std::invalid_argument for no
// samples.
std::pair<double, double> bootstrap_median(std::vector<double> samples, double confidence = 0.95);

std::vector<double> seconds_of(const std::vector<Sample>& samples);

}  // namespace assay
