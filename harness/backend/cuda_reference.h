// References in device memory. Threads that compute one write into small windows of pinned memory;
// each window is sent off when it is full, and the copy engine works beside them.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "harness/backend/backend.h"
#include "harness/backend/cuda_handles.h"

namespace assay {

// Windows of pinned memory, one a thread to write and half as many on their way. Kept for all
// references of a device, of which one is written at a time.
class CudaWindows {
 public:
  explicit CudaWindows(int device);

  // From now on windows have so many bytes. Throws EnvironmentError; also where all of them would
  // have more than kMost.
  static constexpr std::int64_t kMost = std::int64_t{1} << 30;
  // What a window has where a slice is smaller. A copy takes 14 µs of the driver, one at a time (16
  // threads of an H100's host), and a window two for each output: with 1 MiB the references of
  // merges took twice as long.
  static constexpr std::int64_t kUsual = 8 << 20;
  void resize(std::int64_t bytes);

  // One to write; where all others are on their way, after the first of them has arrived.
  std::size_t take() noexcept;
  std::byte* memory(std::size_t window) const;

  // Rows that follow each other in the window, and lie `pitch` bytes apart in device memory.
  struct Copy {
    void* to;
    std::int64_t pitch;
    const void* from;
    std::int64_t row_bytes, rows;
  };
  // The window is free again when these have arrived.
  void send(std::size_t window, const std::vector<Copy>& copies) noexcept;

  // Until all has arrived. Throws the first thing that went wrong since the last call, or forgets
  // it.
  void wait();
  void abandon() noexcept;

 private:
  template <class Action>
  void attempt(const Action& action) noexcept;
  void enqueue(const Copy& copy);

  int device_;
  CudaStream stream_;
  std::int64_t bytes_ = 0, capacity_ = 0;  // of a window
  std::optional<CudaPinned> memory_;
  std::vector<CudaEvent> arrived_;  // by window
  std::mutex mutex_;                // of all below
  std::exception_ptr error_;
  std::vector<std::size_t> free_;
  std::deque<std::size_t> on_their_way_;  // in the order of the stream
};

// Judges on that stream. The windows outlive it, as the device does.
std::unique_ptr<DeviceReference> make_cuda_reference(Device& device, CudaWindows& windows,
                                                     cudaStream_t stream);

}  // namespace assay
