// For functions that host code and CUDA kernels share.
#pragma once

#if defined(__CUDACC__)
#define ASSAY_HOST_DEVICE __host__ __device__ inline
#else
#define ASSAY_HOST_DEVICE inline __attribute__((always_inline))
#endif
