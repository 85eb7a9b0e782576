// Order statistics of samples.
#pragma once

#include <vector>

namespace assay {

// The value below which the share q (0 … 1) of the samples lies, interpolated linearly between
// neighbours (Hyndman & Fan's definition 7, the usual one). Throws std::invalid_argument for no
// samples.
double quantile(std::vector<double> samples, double q);

double median(std::vector<double> samples);

}  // namespace assay
