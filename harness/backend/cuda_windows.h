// Copies between device memory and ordinary host memory by way of windows of pinned memory, which
// any number of threads fill or empty while others are on their way. (The driver's own way is
// several times slower, and a sweep of large problems spends its time there.)
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <mutex>
#include <vector>

#include "harness/backend/cuda_handles.h"
#include "harness/core/host_memory.h"

namespace assay {

// One window a thread, and half as many that are on their way meanwhile. One transfer at a time.
class CudaWindows {
 public:
  explicit CudaWindows(int device);

  // Synchronous, by all threads. The caller sees to it that the memory is not in use.
  void upload(void* device, const void* host, std::int64_t bytes);
  void download(void* host, const void* device, std::int64_t bytes);
  static constexpr std::int64_t kWorthwhile = 1 << 20;  // bytes; less is left to the driver

  // For those who fill windows themselves: from now on each has so many bytes. Throws
  // EnvironmentError; also where all of them would have more than kMost.
  static constexpr std::int64_t kMost = std::int64_t{1} << 30;
  void resize(std::int64_t bytes);
  // A good size: 4 MiB, or less with hundreds of threads. A copy takes 14 µs of the driver, one at
  // a time (16 threads of an H100's host), and a window of a reference two for each output: with 1
  // MiB the references of merges took twice as long.
  std::int64_t usual() const {
    return std::min(std::int64_t{4} << 20, kMost / static_cast<std::int64_t>(arrived_.size()));
  }

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

  // Until all has arrived. Throws the first thing that went wrong since the last call.
  void wait();
  std::exception_ptr drain() noexcept;  // the same; returns it

 private:
  template <class Action>
  void attempt(const Action& action) noexcept;
  void enqueue(const Copy& copy);
  template <class Body>
  void each_piece(std::int64_t bytes, const Body& body);

  int device_;
  CudaStream stream_;
  std::int64_t bytes_ = 0, capacity_ = 0;  // of a window
  HostMemory memory_;                      // pinned
  std::vector<CudaEvent> arrived_;         // by window
  std::mutex mutex_;                       // of all below
  std::exception_ptr error_;
  std::vector<std::size_t> free_;
  std::deque<std::size_t> on_their_way_;  // in the order of the stream
};

}  // namespace assay
