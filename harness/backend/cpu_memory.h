// Memory of the cpu backend: blocks that are fast to stream through, and the cache before them.
#pragma once

#include <cstdint>

namespace assay::cpu {

std::int64_t last_level_cache_bytes();

// Aligned to 256. Large blocks ask for huge pages and are touched by the threads of parallel_for,
// so that their pages are spread over the memory controllers next to them. Throws EnvironmentError
// naming the bytes asked for.
void* allocate(std::int64_t bytes);
void release(void* memory) noexcept;

// Between two pages that fault when touched: the block ends (at_end) or begins flush with one.
void* allocate_fenced(std::int64_t bytes, bool at_end);
void release_fenced(void* memory) noexcept;

// As memcpy and memset, by all threads where it is large.
void copy(void* to, const void* from, std::int64_t bytes);
void fill(void* memory, unsigned char byte, std::int64_t bytes);

}  // namespace assay::cpu
