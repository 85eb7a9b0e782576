// What the cuda backend holds of the runtime: errors that become exceptions, and an owner for each
// kind of handle.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <string>
#include <utility>

#include "harness/core/error.h"

namespace assay {

// After these every call fails in the same way, until the process ends.
inline bool ends_context(cudaError_t status) {
  switch (status) {
    case cudaErrorIllegalAddress:
    case cudaErrorMisalignedAddress:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorIllegalInstruction:
    case cudaErrorHardwareStackError:
    case cudaErrorLaunchFailure:
    case cudaErrorLaunchTimeout:
    case cudaErrorAssert:
    case cudaErrorECCUncorrectable:
      return true;
    default:
      return false;
  }
}

// Throws EnvironmentError or DeviceLost.
inline void check(cudaError_t status, const std::string& what) {
  if (status == cudaSuccess) return;
  cudaGetLastError();  // forgets it, unless it is of the kind that stays
  if (ends_context(status)) throw DeviceLost(what + ": " + cudaGetErrorString(status));
  throw EnvironmentError(what + ": " + cudaGetErrorString(status));
}

class CudaStream {
 public:
  // Does not wait for the default stream, nor the other way round.
  CudaStream() {
    check(cudaStreamCreateWithFlags(&handle_, cudaStreamNonBlocking), "creating a CUDA stream");
  }
  ~CudaStream() { cudaStreamDestroy(handle_); }
  CudaStream(const CudaStream&) = delete;
  CudaStream& operator=(const CudaStream&) = delete;
  cudaStream_t get() const { return handle_; }

 private:
  cudaStream_t handle_ = nullptr;
};

class CudaEvent {
 public:
  CudaEvent() { check(cudaEventCreate(&handle_), "creating a CUDA event"); }
  ~CudaEvent() {
    if (handle_) cudaEventDestroy(handle_);
  }
  CudaEvent(CudaEvent&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  CudaEvent& operator=(CudaEvent&&) = delete;
  void record(cudaStream_t stream) {
    check(cudaEventRecord(handle_, stream), "recording an event");
  }
  void wait(const std::string& what) const { check(cudaEventSynchronize(handle_), what); }
  double seconds_since(const CudaEvent& start) const {
    float milliseconds = 0;
    check(cudaEventElapsedTime(&milliseconds, start.handle_, handle_),
          "reading the time of an event");
    return milliseconds * 1e-3;
  }

 private:
  cudaEvent_t handle_ = nullptr;
};

class CudaGraph {
 public:
  explicit CudaGraph(cudaGraph_t recorded) {
    const cudaError_t status = cudaGraphInstantiate(&handle_, recorded, 0);
    cudaGraphDestroy(recorded);
    check(status, "instantiating a graph");
  }
  ~CudaGraph() { cudaGraphExecDestroy(handle_); }
  CudaGraph(const CudaGraph&) = delete;
  CudaGraph& operator=(const CudaGraph&) = delete;
  void launch(cudaStream_t stream) const {
    check(cudaGraphLaunch(handle_, stream), "replaying a graph");
  }

 private:
  cudaGraphExec_t handle_ = nullptr;
};

// Host memory that the device copies to and from at its full rate.
class CudaPinned {
 public:
  explicit CudaPinned(std::size_t bytes) {
    check(cudaHostAlloc(&data_, bytes, cudaHostAllocDefault), "allocating pinned host memory");
  }
  ~CudaPinned() { cudaFreeHost(data_); }
  CudaPinned(const CudaPinned&) = delete;
  CudaPinned& operator=(const CudaPinned&) = delete;
  void* data() const { return data_; }

 private:
  void* data_ = nullptr;
};

// A word of host memory that the device polls.
class CudaFlag {
 public:
  CudaFlag() {
    check(cudaHostAlloc(reinterpret_cast<void**>(&host_), sizeof(int), cudaHostAllocMapped),
          "allocating mapped host memory");
    check(cudaHostGetDevicePointer(reinterpret_cast<void**>(&device_), host_, 0),
          "mapping host memory");
  }
  ~CudaFlag() { cudaFreeHost(host_); }
  CudaFlag(const CudaFlag&) = delete;
  CudaFlag& operator=(const CudaFlag&) = delete;
  void set(int value) { *static_cast<volatile int*>(host_) = value; }
  const int* device() const { return device_; }

 private:
  int* host_ = nullptr;
  int* device_ = nullptr;
};

}  // namespace assay
