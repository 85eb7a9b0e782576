// Benjamini and Hochberg's step-up procedure: which of many tests may be called findings, so that
// among those called the expected share of false ones is at most the rate.
#pragma once

#include <vector>

namespace assay {

// The largest p that is a finding at this rate; -1: none is. p-values that are NaN are no tests.
double discovery_limit(std::vector<double> p_values, double rate);

// Probability that a standard normal variable exceeds z.
double normal_tail(double z);

// z such that a standard normal variable lies within ±z with this probability. Throws
// std::invalid_argument unless 0 < probability < 1.
double normal_reach(double probability);

}  // namespace assay
