// Scalar functions whose accuracy the kernels' error bounds rely on.
#pragma once

#include "kernels/device/twin.h"

namespace assay::ASSAY_TWIN {

inline constexpr float kLog2E = 1.44269504088896340736f;
inline constexpr float kLn2 = 0.69314718055994530942f;

// 2^x with a relative error of at most 2^-22; 0 below 2^-126. NaN stays NaN, 2^-inf = 0.
ASSAY_DEVICE float exp2_approx(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// Natural logarithm within 1 ulp.
ASSAY_DEVICE float log_accurate(float x) { return logf(x); }

// 1/sqrt(x), both steps rounded to nearest: within 1.5 ulp.
ASSAY_DEVICE float reciprocal_sqrt(float x) { return __frcp_rn(__fsqrt_rn(x)); }

// The larger of two; the other one if either is NaN.
ASSAY_DEVICE float maximum(float a, float b) { return fmaxf(a, b); }

ASSAY_DEVICE float minus_infinity() { return -__int_as_float(0x7f800000); }

}  // namespace assay::ASSAY_TWIN
