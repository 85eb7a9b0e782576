// Where wrong elements lie: which rows, which tile, the tail or the interior. That is what tells a
// kernel engineer the cause.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "harness/core/tensor.h"

namespace assay {

// "all at t = 36, the last; d from 256 on (the tail beyond a multiple of 256)": a clause for each
// axis along which the wrong elements (flat indices) are not spread over everything; "spread over
// the whole output" if there is none. `axes`: the names of the dims in lower case.
std::string describe_clusters(const TensorSpec& spec, const std::vector<std::string>& axes,
                              const std::vector<std::int64_t>& wrong);

}  // namespace assay
