#include "harness/backend/cuda_timing.h"

#include <algorithm>

#include "harness/backend/cuda_kernels.h"

namespace assay {
namespace {

// Seconds that the stream waits at most; only if enqueuing takes longer is the host's time seen.
constexpr double kSpinLimit = 2;

// A batch of multi-kernel variants must fit the driver's queue (about 1000 entries), or enqueuing
// would wait for the spin.
constexpr std::size_t kBatch = 64;

// The clock of the device ticks every microsecond on some, and clocks change within milliseconds.
constexpr std::uint64_t kClockWindow = 200'000;  // nanoseconds

}  // namespace

CudaTimer::CudaTimer(cudaStream_t stream, int multiprocessors)
    : stream_(stream), units_(static_cast<std::size_t>(multiprocessors)) {
  stamps_.resize((kBatch + 1) * units_);
  check(cudaMalloc(reinterpret_cast<void**>(&device_stamps_), stamps_.size() * sizeof(ClockStamp)),
        "allocating device memory for clocks");
}

CudaTimer::~CudaTimer() { cudaFree(device_stamps_); }

std::shared_ptr<void> CudaTimer::hold() {
  go_.set(0);
  launch_spin(go_.device(), kSpinLimit, stream_);
  check(cudaGetLastError(), "launching the spinning kernel");
  return {this, [this](void*) { go_.set(1); }};
}

void CudaTimer::stamp(std::size_t reading) {
  launch_stamp(device_stamps_ + reading * units_, units_, stream_);
}

std::vector<Sample> CudaTimer::time(const std::vector<TimedLaunch>& launches) {
  std::vector<Sample> samples;
  samples.reserve(launches.size());
  for (std::size_t begin = 0; begin < launches.size(); begin += kBatch)
    time_batch(launches.data() + begin, std::min(kBatch, launches.size() - begin), samples);
  return samples;
}

void CudaTimer::time_batch(const TimedLaunch* launches, std::size_t count,
                           std::vector<Sample>& samples) {
  while (events_.size() < 2 * count) events_.emplace_back();
  check(cudaMemsetAsync(device_stamps_, 0, (count + 1) * units_ * sizeof(ClockStamp), stream_),
        "clearing the clocks");
  try {
    const std::shared_ptr<void> held = hold();
    for (std::size_t i = 0; i < count; ++i) {
      if (launches[i].before) (*launches[i].before)({stream_});
      stamp(i);
      events_[2 * i].record(stream_);
      (*launches[i].launch)({stream_});
      events_[2 * i + 1].record(stream_);
    }
    stamp(count);
    check(cudaGetLastError(), "launching the kernel that reads clocks");
  } catch (...) {
    cudaStreamSynchronize(stream_);
    throw;
  }
  stamps_.resize((count + 1) * units_);
  check(cudaMemcpyAsync(stamps_.data(), device_stamps_, stamps_.size() * sizeof(ClockStamp),
                        cudaMemcpyDeviceToHost, stream_),
        "running timed launches");
  check(cudaStreamSynchronize(stream_), "running timed launches");
  for (std::size_t i = 0; i < count; ++i)
    samples.push_back(
        {.seconds = events_[2 * i + 1].seconds_since(events_[2 * i]),
         .sm_mhz = static_cast<float>(clock_around(stamps_, units_, i, kClockWindow) * 1e-6)});
}

}  // namespace assay
