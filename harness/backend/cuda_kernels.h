// The kernels that the cuda backend itself needs: to wait behind, to read clocks, and plain streams
// that show what the memory can do.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>

#include "harness/backend/clock_stamps.h"

namespace assay {

// Occupies the stream until *go (host memory that the device can read) is not 0, at most
// `limit_seconds`.
void launch_spin(const volatile int* go, double limit_seconds, cudaStream_t stream);

void launch_nothing(cudaStream_t stream);
void launch_marker(cudaStream_t stream);  // does nothing either, under a name to be found by

// Each multiprocessor writes what its cycle counter and the device's clock say to stamps[its
// number], of `multiprocessors`; one that is busy may be left out.
void launch_stamp(ClockStamp* stamps, std::size_t multiprocessors, cudaStream_t stream);

// Reads `reads` arrays and writes `writes` arrays of `length` 16-byte vectors each, placed one
// after the other; every thread has `unroll` (1, 2, 4) vectors of an array under way at once. Every
// vector is touched once.
struct StreamShape {
  int unroll = 1;
  int threads = 256;
  int blocks_per_multiprocessor = 0;  // 0: a block for each piece of work, none loops
};
void launch_stream(const StreamShape& shape, int multiprocessors, const void* in, int reads,
                   void* out, int writes, std::size_t length, cudaStream_t stream);

}  // namespace assay
