#include "harness/backend/cuda_windows.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <string>
#include <utility>

#include "harness/backend/cuda_pinning.h"
#include "harness/core/parallel.h"
#include "harness/core/spending.h"

namespace assay {
namespace {

constexpr const char* kWhat = "copying between host and device memory";

}  // namespace

CudaWindows::CudaWindows(int device) : device_(device) {
  const auto threads = static_cast<std::size_t>(num_threads());
  for (std::size_t i = 0; i < threads + threads / 2 + 1; ++i) {
    arrived_.emplace_back();
    free_.push_back(i);
  }
}

void CudaWindows::resize(std::int64_t bytes) {
  wait();
  const Spending spending(Expense::memory);
  const auto count = static_cast<std::int64_t>(arrived_.size());
  if (bytes > kMost / count)
    throw EnvironmentError("a piece of " + std::to_string(bytes) +
                           " bytes is too large to be sent from pinned memory");
  bytes_ = bytes;
  if (bytes <= capacity_) return;
  capacity_ = 0;
  memory_ = {};
  const std::int64_t capacity = std::max(bytes, usual()), all = capacity * count;
  try {
    memory_ = HostMemory(all);
  } catch (const std::bad_alloc&) {
    throw EnvironmentError("there are no " + std::to_string(all) +
                           " bytes of host memory for copies to the device");
  }
  // If it is refused, copies take longer, no more.
  pin_host_block(memory_.get(), all);
  capacity_ = capacity;
}

// What fails is told by wait().
template <class Action>
void CudaWindows::attempt(const Action& action) noexcept {
  try {
    action();
  } catch (...) {
    const std::scoped_lock lock(mutex_);
    if (!error_) error_ = std::current_exception();
  }
}

std::size_t CudaWindows::take() noexcept {
  std::size_t window = 0;
  {
    const std::scoped_lock lock(mutex_);
    if (!free_.empty()) {
      window = free_.back();
      free_.pop_back();
      return window;
    }
    window = on_their_way_.front();
    on_their_way_.pop_front();
  }
  attempt([&] {
    check(cudaSetDevice(device_), kWhat);
    arrived_[window].wait(kWhat);
  });
  return window;
}

std::byte* CudaWindows::memory(std::size_t window) const {
  return memory_.get() + window * static_cast<std::size_t>(bytes_);
}

void CudaWindows::enqueue(const Copy& copy) {
  constexpr std::int64_t kMostPitch = INT32_MAX;  // cudaDevAttrMaxPitch
  const auto width = static_cast<std::size_t>(copy.row_bytes);
  if (copy.rows > 1 && copy.pitch <= kMostPitch) {
    check(cudaMemcpy2DAsync(copy.to, static_cast<std::size_t>(copy.pitch), copy.from, width, width,
                            static_cast<std::size_t>(copy.rows), cudaMemcpyHostToDevice,
                            stream_.get()),
          kWhat);
    return;
  }
  for (std::int64_t row = 0; row < copy.rows; ++row) {
    check(cudaMemcpyAsync(static_cast<std::byte*>(copy.to) + row * copy.pitch,
                          static_cast<const std::byte*>(copy.from) + row * copy.row_bytes, width,
                          cudaMemcpyHostToDevice, stream_.get()),
          kWhat);
  }
}

void CudaWindows::send(std::size_t window, const std::vector<Copy>& copies) noexcept {
  attempt([&] {
    check(cudaSetDevice(device_), kWhat);
    for (const Copy& copy : copies) enqueue(copy);
  });
  // Recorded and queued in one order.
  const std::scoped_lock lock(mutex_);
  try {
    arrived_[window].record(stream_.get());
    on_their_way_.push_back(window);
  } catch (...) {
    // Whatever is overwritten on its way now: who waits for it is told.
    if (!error_) error_ = std::current_exception();
    free_.push_back(window);
  }
}

// Pieces of at most a window, and several for each thread.
template <class Body>
void CudaWindows::each_piece(std::int64_t bytes, const Body& body) {
  constexpr std::int64_t kLeast = 1 << 20, kLargest = 2 << 20;  // all of them fit in a cache
  const std::int64_t piece = std::clamp(bytes / 4 / num_threads(), kLeast, kLargest);
  resize(piece);
  parallel_for((bytes + piece - 1) / piece, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i)
      body(i * piece, std::min(piece, bytes - i * piece), take());
  });
  wait();
}

void CudaWindows::upload(void* device, const void* host, std::int64_t bytes) {
  each_piece(bytes, [&](std::int64_t at, std::int64_t size, std::size_t window) {
    std::memcpy(memory(window), static_cast<const std::byte*>(host) + at,
                static_cast<std::size_t>(size));
    send(window, {{static_cast<std::byte*>(device) + at, size, memory(window), size, 1}});
  });
}

void CudaWindows::download(void* host, const void* device, std::int64_t bytes) {
  each_piece(bytes, [&](std::int64_t at, std::int64_t size, std::size_t window) {
    attempt([&] {
      check(cudaSetDevice(device_), kWhat);
      check(cudaMemcpyAsync(memory(window), static_cast<const std::byte*>(device) + at,
                            static_cast<std::size_t>(size), cudaMemcpyDeviceToHost, stream_.get()),
            kWhat);
      arrived_[window].record(stream_.get());
      arrived_[window].wait(kWhat);
    });
    std::memcpy(static_cast<std::byte*>(host) + at, memory(window), static_cast<std::size_t>(size));
    const std::scoped_lock lock(mutex_);
    free_.push_back(window);
  });
}

std::exception_ptr CudaWindows::drain() noexcept {
  attempt([&] { check(cudaStreamSynchronize(stream_.get()), kWhat); });
  const std::scoped_lock lock(mutex_);
  for (; !on_their_way_.empty(); on_their_way_.pop_front()) free_.push_back(on_their_way_.front());
  return std::exchange(error_, nullptr);
}

void CudaWindows::wait() {
  if (const std::exception_ptr error = drain()) std::rethrow_exception(error);
}

}  // namespace assay
