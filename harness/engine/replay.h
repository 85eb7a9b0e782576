// Replay does the schedule of a composite without its kernels: each step by the reference of its
// op, in fp64, and what it writes is rounded once, to the dtype of the buffer that it lies in. What
// is left of the error is that of storage alone; a schedule that is wrong anywhere is wrong by
// more.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "harness/core/expected.h"
#include "harness/core/host_memory.h"
#include "harness/core/tensor.h"
#include "harness/core/variant.h"

namespace assay {

// How a step computes before it rounds what it writes: in fp64, or as kernels do, off by the least
// bound of fp32, that of sums in one step, upwards or downwards as the place of the element has it.
enum class Inside : std::uint8_t { exact, fp32 };

class Replay {
 public:
  // All of it in host memory, NaNs where nothing was written.
  Replay(const Variant& composite, const Problem& problem, const Tensors& inputs, Inside inside);

  const TensorView& operator[](std::string_view tensor) const { return buffers_[tensor]; }

 private:
  std::vector<HostMemory> storage_;
  Buffers buffers_;
};

// The same schedule on at most so many tokens and so short rows, with all that is optional: what
// makes a difference there must be where it belongs. All of it in `dtype`; none: in the dtypes that
// the tensors have, or would have.
Problem shortened(const Problem& problem, std::int64_t tokens, std::int64_t dim,
                  std::optional<DType> dtype = std::nullopt);

// |got - want| / |want|, 0 where both are equal; a NaN where either has one.
double normwise_error(const TensorView& got, const Expected& want);

}  // namespace assay
