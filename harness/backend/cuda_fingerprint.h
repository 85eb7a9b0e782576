// The fingerprint (core/fingerprint.h) of device memory, at the speed at which it can be read.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "harness/core/fingerprint.h"

namespace assay {

// Adds the terms of all words, and of the length, to *sum in device memory. Any address and number
// of bytes will do; whole vectors of 16 bytes are fastest.
void launch_fingerprint(const void* memory, std::int64_t bytes, Fingerprint* sum,
                        int multiprocessors, cudaStream_t stream);

}  // namespace assay
