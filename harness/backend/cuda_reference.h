// References in device memory. Threads that compute one write into small windows of pinned memory;
// each window is sent off when it is full, and the copy engine works beside them.
#pragma once

#include <cuda_runtime.h>

#include <memory>

#include "harness/backend/backend.h"
#include "harness/backend/cuda_windows.h"

namespace assay {

// Judges on that stream. The windows outlive it, as the device does.
std::unique_ptr<DeviceReference> make_cuda_reference(Device& device, CudaWindows& windows,
                                                     cudaStream_t stream);

}  // namespace assay
