// Times launches on a CUDA stream: by events, behind a spinning kernel, with the clocks of the
// multiprocessors read before and after each.
#pragma once

#include <cuda_runtime.h>

#include <memory>
#include <vector>

#include "harness/backend/backend.h"
#include "harness/backend/clock_stamps.h"
#include "harness/backend/cuda_handles.h"

namespace assay {

class CudaTimer {
 public:
  CudaTimer(cudaStream_t stream, int multiprocessors);
  ~CudaTimer();
  CudaTimer(const CudaTimer&) = delete;
  CudaTimer& operator=(const CudaTimer&) = delete;

  // The device works on nothing while a batch is enqueued, then runs it back to back: the host's
  // time stays outside.
  std::vector<Sample> time(const std::vector<TimedLaunch>& launches);

  // Until the result is gone, the stream waits, at most two seconds.
  std::shared_ptr<void> hold();

 private:
  void time_batch(const TimedLaunch* launches, std::size_t count, std::vector<Sample>& samples);
  void stamp(std::size_t reading);

  cudaStream_t stream_;
  std::size_t units_;  // multiprocessors
  CudaFlag go_;
  std::vector<CudaEvent> events_;  // two for each launch of a batch
  ClockStamp* device_stamps_ = nullptr;
  std::vector<ClockStamp> stamps_;
};

}  // namespace assay
