// A block a part. Threads keep what they count in registers; only the few distances that are not 0
// go to a histogram in shared memory.
#include "harness/backend/cuda_judge.h"
#include "harness/core/judge_element.h"

namespace assay {
namespace cuda_backend {

constexpr int kJudgeThreads = 256, kJudgeUnroll = 4, kWarps = kJudgeThreads / 32;
constexpr unsigned kAll = 0xffffffffu;

template <class Number>
__device__ Number warp_sum(Number mine) {
  for (int offset = 16; offset > 0; offset /= 2) mine += __shfl_down_sync(kAll, mine, offset);
  return mine;
}

// Of the larger utilisation, or of the same the one that comes first; nothing has index -1.
struct Worst {
  double ranked = 0;
  long long index = -1;

  __device__ void take(double other, long long at) {
    if (other > ranked || (other == ranked && at >= 0 && at < index)) {
      ranked = other;
      index = at;
    }
  }
};

__device__ Worst warp_worst(Worst mine) {
  for (int offset = 16; offset > 0; offset /= 2) {
    const double ranked = __shfl_down_sync(kAll, mine.ranked, offset);
    const long long index = __shfl_down_sync(kAll, mine.index, offset);
    mine.take(ranked, index);
  }
  return mine;
}

template <class T>
__global__ void __launch_bounds__(kJudgeThreads)
    judge(const T* __restrict__ got, const double* __restrict__ values,
          const double* __restrict__ bounds, std::int64_t n, double least, CudaJudgement* parts) {
  __shared__ int ulps[kUlpBuckets];
  for (int i = threadIdx.x; i < kUlpBuckets; i += kJudgeThreads) ulps[i] = 0;
  __syncthreads();

  const std::int64_t begin = static_cast<std::int64_t>(blockIdx.x) * kJudgedPart;
  const int count = static_cast<int>(n - begin < kJudgedPart ? n - begin : kJudgedPart);
  int wrong = 0, nonzero = 0, accepted = 0, unsound = 0, inexact = 0;
  double errors = 0, wants = 0;
  Worst worst;
  const auto look = [&](double want, double bound, double value, int i) {
    const double error = value - want;
    if (judging::is_finite(error)) {
      errors += error * error;
      wants += want * want;
    }
    if (want != 0) {
      ++nonzero;
      if (judging::inside<T>(want, bound, 0)) ++accepted;
    }
    if (judging::is_finite(want) && !(bound >= least * judging::size(want))) ++unsound;
    // Of most elements that is all.
    if (judging::is_finite(want) && bound >= 0 && judging::rounded<T>(want) == value) return;
    const judging::Element found = judging::judge<T>(want, bound, value, kUlpBuckets - 1);
    if (!found.right) ++wrong;
    if (found.bucket > 0) {
      ++inexact;
      atomicAdd(&ulps[found.bucket], 1);
    }
    worst.take(found.ranked, found.ranked > 0 ? begin + i : -1);
  };
  int i = static_cast<int>(threadIdx.x);
  for (; i + (kJudgeUnroll - 1) * kJudgeThreads < count; i += kJudgeUnroll * kJudgeThreads) {
    double want[kJudgeUnroll], bound[kJudgeUnroll];
    T value[kJudgeUnroll];
#pragma unroll
    for (int u = 0; u < kJudgeUnroll; ++u) {
      const std::int64_t at = begin + i + u * kJudgeThreads;
      want[u] = values[at];
      bound[u] = bounds != nullptr ? bounds[at] : 0;
      value[u] = got[at];
    }
#pragma unroll
    for (int u = 0; u < kJudgeUnroll; ++u)
      look(want[u], bound[u], widen(value[u]), i + u * kJudgeThreads);
  }
  for (; i < count; i += kJudgeThreads)
    look(values[begin + i], bounds != nullptr ? bounds[begin + i] : 0, widen(got[begin + i]), i);

  // Over the warps, in order.
  __shared__ int counts[kWarps][5];
  __shared__ double sums[kWarps][2];
  __shared__ double ranked[kWarps];
  __shared__ long long indices[kWarps];
  const int warp = static_cast<int>(threadIdx.x) / 32;
  int counted[5] = {wrong, nonzero, accepted, unsound, inexact};
  for (int& each : counted) each = warp_sum(each);
  errors = warp_sum(errors);
  wants = warp_sum(wants);
  worst = warp_worst(worst);
  if (threadIdx.x % 32 == 0) {
    for (int c = 0; c < 5; ++c) counts[warp][c] = counted[c];
    sums[warp][0] = errors;
    sums[warp][1] = wants;
    ranked[warp] = worst.ranked;
    indices[warp] = worst.index;
  }
  __syncthreads();
  if (threadIdx.x != 0) return;
  for (int other = 1; other < kWarps; ++other) {
    for (int c = 0; c < 5; ++c) counted[c] += counts[other][c];
    errors += sums[other][0];
    wants += sums[other][1];
    worst.take(ranked[other], indices[other]);
  }
  CudaJudgement& part = parts[blockIdx.x];
  part.wrong = counted[0];
  part.nonzero = counted[1];
  part.zero_accepted = counted[2];
  part.unsound = counted[3];
  part.worst = worst.index;
  part.utilisation = worst.ranked;
  part.error_squared = errors;
  part.want_squared = wants;
  part.ulps[0] = count - counted[4];
  for (int bucket = 1; bucket < kUlpBuckets; ++bucket) part.ulps[bucket] = ulps[bucket];
}

}  // namespace cuda_backend

void launch_judge(DType dtype, const void* got, const double* values, const double* bounds,
                  std::int64_t n, double least, CudaJudgement* parts, cudaStream_t stream) {
  using namespace cuda_backend;
  const auto blocks = static_cast<unsigned>((n + kJudgedPart - 1) / kJudgedPart);
  if (blocks == 0) return;
  dispatch(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    judge<T><<<blocks, kJudgeThreads, 0, stream>>>(static_cast<const T*>(got), values, bounds, n,
                                                   least, parts);
  });
}

}  // namespace assay
