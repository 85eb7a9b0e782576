// Judging (core/judge_element.h) where outputs and reference lie: in device memory, at the speed at
// which it can be read.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <tuple>

#include "harness/core/dtype.h"
#include "harness/core/judgement.h"

namespace assay {

inline constexpr int kUlpBuckets = std::tuple_size_v<UlpHistogram>;

// A part (kJudgedPart elements) of a Judgement.
struct CudaJudgement {
  std::int64_t wrong, nonzero, zero_accepted, unsound, worst;
  double utilisation, error_squared, want_squared;
  std::int64_t ulps[kUlpBuckets];
};

// Judges n elements of a dtype against values and bounds (null: all are 0), part by part into
// parts[0, n / kJudgedPart rounded up). A bound is unsound below `least` times its finite
// reference. The same bits at every call; everything but the two sums is the host's to the bit.
void launch_judge(DType dtype, const void* got, const double* values, const double* bounds,
                  std::int64_t n, double least, CudaJudgement* parts, cudaStream_t stream);

}  // namespace assay
