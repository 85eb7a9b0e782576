// Facts about the machine that the host code runs on.
#pragma once

#include <cstdint>
#include <set>
#include <string>

namespace assay {

// Bytes that may still be allocated without swapping: the least of what the kernel calls available
// and what the control group allows.
std::int64_t available_memory();

// From so many bytes on what pages cost is worth thinking about.
inline constexpr std::int64_t kLargeBlock = 4 << 20;

// Asks for huge pages where a fresh block is large. Touching small pages costs more than the
// arithmetic that fills them: the fp64 reference of six queries doubled its speed.
void prefer_huge_pages(void* memory, std::int64_t bytes);

std::set<int> thread_ids();  // of this process, now

std::string
cpu_name();  // "AMD EPYC 9654", or the architecture's name where the kernel does not say

}  // namespace assay
