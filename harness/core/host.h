// Facts about the machine that the host code runs on.
#pragma once

#include <cstdint>
#include <string>

namespace assay {

// Bytes that may still be allocated without swapping: the least of what the kernel calls available and what the control
// group allows.
std::int64_t available_memory();

std::string cpu_name();  // "AMD EPYC 9654", or the architecture's name where the kernel does not say

}  // namespace assay
