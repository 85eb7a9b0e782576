// The limit of the cpu's memory system: what plain streaming kernels reach.
#pragma once

#include "harness/backend/backend.h"

namespace assay::cpu {

// Bytes per second, read and written ones together, that the best of several streaming kernels
// reaches with all threads on arrays that together are at least four times the last-level cache.
// Stored bytes count once: that an ordinary store also reads its line is the kernel's loss. Takes
// about a second.
double measure_bandwidth(Mix mix);

}  // namespace assay::cpu
