// Programs are compiled for older devices, too, whose assembler knows nothing of sm_90: the body of
// a kernel that uses its instructions stands between #if ASSAY_HAS_SM90 and #endif.
#pragma once

#include "kernels/device/twin.h"

// Whether the pass of the compiler over a kernel's body has what came with sm_90.
#if ASSAY_SIMT
#define ASSAY_HAS_SM90 1
#elif defined(__CUDA_ARCH__)
#define ASSAY_HAS_SM90 (__CUDA_ARCH__ >= 900)
#else
#define ASSAY_HAS_SM90 0
#endif
