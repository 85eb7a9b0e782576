// The median of a run's samples on a logarithmic scale, and how far it may be from what a longer
// run would show.
#pragma once

#include <cstdint>
#include <vector>

#include "harness/core/record.h"

namespace assay {

struct MedianTime {
  double log_seconds = 0;
  // Of log_seconds, within one run: how runs differ from each other it can't tell.
  double standard_error = 0;
  std::int64_t samples = 0;  // that it stands on; 0: there is no time
  // How many samples are worth one independent sample: 1 where neighbours know nothing of each
  // other.
  double correlation = 1;
  double sm_mhz = 0;  // median; 0: unknown
};

// From the order statistics around the middle, so that no shape of the distribution is assumed.
// Neighbouring samples are alike (clocks, temperature, other work on the machine): the
// variance is multiplied by the long-run variance of the signs of (sample - median), by batch
// means of √n samples. Throttled samples are left out, unless all are. `samples` in the order in
// which they were taken.
MedianTime median_time(const std::vector<Sample>& samples);

// Where no samples were kept: from median and percentiles, as if the middle of the distribution
// were normal and four samples were worth one.
MedianTime median_time(const Measurement& measurement);

}  // namespace assay
