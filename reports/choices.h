// What `auto` may choose among, and what its choices cost.
#pragma once

#include <vector>

#include "harness/core/record.h"

namespace assay {

// The cold time of a case, or null where it was not timed so.
const Measurement* cold_time(const Record& record);

// A variant of Assay's own that passed, was timed cold, repeats its bits and rounds nothing to
// 16 bits on the way: times are compared within one class of numerics.
bool is_choosable(const Record& record);

// Gives each record of auto its cost: how much longer it took, cold, than the fastest of the
// choosable ones of its problem on its device, and which that was. Nothing where none was timed.
void weigh_choices(std::vector<Record>& records);

}  // namespace assay
