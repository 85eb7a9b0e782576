// What the arithmetic units of a GPU reach with all operands at hand: the flat roofs of a roofline.
#pragma once

#include <cuda_runtime.h>

#include "harness/backend/backend.h"

namespace assay {

// Kernels that do nothing but multiply and add, each best on other architectures.
enum class ArithmeticKernel : unsigned char { fma, warp_matrix, warpgroup_matrix };

// Runs `rounds` rounds of independent operations on every multiprocessor. ran[0], of two numbers in
// device memory, becomes how many operations (a multiplication and an addition are two) these were
// together, or stays as it is where the kernel was not compiled for this device.
void launch_arithmetic(ArithmeticKernel kernel, Arithmetic arithmetic, int multiprocessors,
                       int rounds, double* ran, cudaStream_t stream);

}  // namespace assay
