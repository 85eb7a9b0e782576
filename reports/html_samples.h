// The samples of measurements as the script of the HTML report reads them.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "harness/core/record.h"

namespace assay {

// So many samples of each of `measurements` go into a page: few where there are many measurements,
// so that the page still opens quickly.
std::size_t most_samples(std::size_t measurements);

// {"count":…,"every":…,"low":…,"high":…,"time":"…","clock":"…"}, null where there are none. Of
// `count` samples each `every`-th is kept, in order. Texts are base64 of little-endian 16-bit
// numbers: a time is low·(high/low)^(n/65535) seconds (within 1e-5 for samples up to twice as long
// as the shortest); a clock is in MHz, plus 32768 where throttled, and left out where no sample has
// one.
std::string html_samples(const std::vector<Sample>& samples, std::size_t most);

}  // namespace assay
