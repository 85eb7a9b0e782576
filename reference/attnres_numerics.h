// Terms that the bounds of the attention-residual ops share.
#pragma once

#include "harness/core/op.h"

namespace assay::attnres_numerics {

inline constexpr double kUnderflow = 0x1p-125;

// Relative and absolute error of rounding once to a dtype narrower than the accumulator; f32: none.
inline double rounding(DType dtype) { return dtype == DType::f32 ? 0 : unit_roundoff(dtype); }
inline double half_subnormal(DType dtype) {
  return dtype == DType::f16 ? 0x1p-25 : dtype == DType::bf16 ? 0x1p-134 : 0;
}

}  // namespace assay::attnres_numerics
