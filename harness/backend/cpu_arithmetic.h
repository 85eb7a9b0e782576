// What the cpu's vector units reach with all operands in registers.
#pragma once

namespace assay::cpu {

// fp32 operations per second (a multiplication and an addition are two) with all threads. Takes a
// tenth of a second.
double measure_fma();

}  // namespace assay::cpu
