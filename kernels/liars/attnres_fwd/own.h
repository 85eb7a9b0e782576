// What a Launch may keep for itself on its device: memory, and on cuda a stream.
#pragma once

#include <cstdlib>
#include <memory>

#include "kernels/device/launch.h"

namespace assay::ASSAY_TWIN::liars_attnres_fwd {

// Zeroed device memory, freed with the last copy.
inline std::shared_ptr<void> own_memory(std::int64_t bytes) {
#if ASSAY_SIMT
  return {std::calloc(1, static_cast<std::size_t>(bytes)), std::free};
#else
  void* memory = nullptr;
  check(cudaMalloc(&memory, static_cast<std::size_t>(bytes)), "memory of a liar");
  std::shared_ptr<void> owner(memory, [](void* m) { cudaFree(m); });
  check(cudaMemset(memory, 0, static_cast<std::size_t>(bytes)), "clearing memory of a liar");
  check(cudaDeviceSynchronize(), "clearing memory of a liar");
  return owner;
#endif
}

template <class T>
struct Own {
  explicit Own(std::int64_t count) : memory(own_memory(count * static_cast<int>(sizeof(T)))) {}
  T* get() const { return static_cast<T*>(memory.get()); }
  std::shared_ptr<void> memory;
};

// Waits for the device, where launches do not.
inline void wait_for_device() {
#if !ASSAY_SIMT
  check(cudaDeviceSynchronize(), "waiting for a liar");
#endif
}

#if !ASSAY_SIMT

inline cudaStream_t native(Stream stream) { return static_cast<cudaStream_t>(stream.handle); }

// A stream that waits for no other.
inline std::shared_ptr<void> own_stream() {
  cudaStream_t stream = nullptr;
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "a stream of a liar");
  return {stream, [](void* s) { cudaStreamDestroy(static_cast<cudaStream_t>(s)); }};
}

inline std::shared_ptr<void> own_event() {
  cudaEvent_t event = nullptr;
  check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "an event of a liar");
  return {event, [](void* e) { cudaEventDestroy(static_cast<cudaEvent_t>(e)); }};
}

inline bool is_capturing(Stream stream) {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  check(cudaStreamIsCapturing(native(stream), &status), "asking whether a stream is captured");
  return status != cudaStreamCaptureStatusNone;
}

#endif

}  // namespace assay::ASSAY_TWIN::liars_attnres_fwd
