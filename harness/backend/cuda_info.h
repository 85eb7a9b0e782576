// What a CUDA device says of itself, without a context on it.
#pragma once

#include <cuda_runtime.h>

#include <string>

#include "harness/backend/backend.h"

namespace assay {

std::string version_text(int version);  // of 13000: "13.0"
int attribute(cudaDeviceAttr what, int index);
DeviceInfo describe_cuda(int index);

}  // namespace assay
