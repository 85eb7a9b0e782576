// Scalar functions whose accuracy the kernels' error bounds rely on.
#pragma once

#include <cstdint>

#include "kernels/device/twin.h"

namespace assay::ASSAY_TWIN {

inline constexpr float kLog2E = 1.44269504088896340736f;
inline constexpr float kLn2 = 0.69314718055994530942f;

// The same 32 bits.
ASSAY_DEVICE float as_float(std::uint32_t bits) {
#if ASSAY_SIMT
  return std::bit_cast<float>(bits);
#else
  return __uint_as_float(bits);
#endif
}
ASSAY_DEVICE std::uint32_t as_bits(float x) {
#if ASSAY_SIMT
  return std::bit_cast<std::uint32_t>(x);
#else
  return __float_as_uint(x);
#endif
}

#if ASSAY_SIMT
// What an instruction may return that errs by up to `bound`, relative; which, depends on the seed
// of the run.
ASSAY_DEVICE float err(double exact, double bound, std::uint32_t operation, float x) {
  return static_cast<float>(exact * (1 + bound * executor::error_share(operation, as_bits(x))));
}
#endif

// 2^x with a relative error of at most 2^-22; 0 below 2^-126; exactly 1 where x is 0 or subnormal.
// NaN stays NaN, 2^-inf = 0.
// (PTX ISA, ex2.approx.ftz.f32.)
ASSAY_DEVICE float exp2_approx(float x) {
#if ASSAY_SIMT
  if (std::abs(x) < 0x1p-126f) return 1;
  // The rounding to float takes its share of the bound.
  const float y = err(std::exp2(static_cast<double>(x)), 0x1p-22 - 0x1p-24, 0, x);
  return y < 0x1p-126f ? 0 : y;
#else
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
#endif
}

// Natural logarithm within 1 ulp. (CUDA C++ Programming Guide, logf.)
ASSAY_DEVICE float log_accurate(float x) {
#if ASSAY_SIMT
  // Half an ulp is at least 2^-25 of the value, and the rounding adds another half.
  return err(std::log(static_cast<double>(x)), 0x1p-25, 1, x);
#else
  return logf(x);
#endif
}

// 1/sqrt(x), both steps rounded to nearest: within 1.5 ulp.
ASSAY_DEVICE float reciprocal_sqrt(float x) {
#if ASSAY_SIMT
  return 1.0f / std::sqrt(x);
#else
  return __frcp_rn(__fsqrt_rn(x));
#endif
}

// 1/sqrt(x) for 0 < x < inf, without a branch: an approximation within 2^-22 (PTX ISA,
// rsqrt.approx.f32), made better by a step of Newton's, errs by at most 1.5 * 2^-24 of the result.
// NaN where x is 0, infinite, negative or NaN.
ASSAY_DEVICE float reciprocal_sqrt_positive(float x) {
#if ASSAY_SIMT
  if (!(x > 0) || std::isinf(x)) return as_float(0x7fc00000u);
  // The rounding to float takes its share of the bound.
  return err(1 / std::sqrt(static_cast<double>(x)), 0x1p-25, 2, x);
#else
  float y;
  asm("rsqrt.approx.f32 %0, %1;" : "=f"(y) : "f"(x));
  return fmaf(0.5f * y, fmaf(-(x * y), y, 1.0f), y);
#endif
}

// The larger of two; the other one if either is NaN.
ASSAY_DEVICE float maximum(float a, float b) {
#if ASSAY_SIMT
  // Not fmax for a NaN: it returns a signalling one.
  return std::isnan(a) ? b : std::isnan(b) ? a : std::fmax(a, b);
#else
  return fmaxf(a, b);
#endif
}

ASSAY_DEVICE float minus_infinity() { return as_float(0xff800000u); }

}  // namespace assay::ASSAY_TWIN
