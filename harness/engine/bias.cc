#include "harness/engine/bias.h"

#include <algorithm>
#include <cmath>

#include "harness/engine/interval.h"

namespace assay {
namespace {

constexpr double kLeastSlices = 32;
constexpr double kDeviations = 8;

double rounded(double value, DType dtype) {
  return dispatch(dtype, [value](auto type) -> double {
    return to_float(round_to<typename decltype(type)::type>(value));
  });
}

// Distance between the numbers of a dtype around `value`.
double ulp(double value, DType dtype) {
  const int digits = dtype == DType::f32 ? 24 : dtype == DType::f16 ? 11 : 8;
  const int least = dtype == DType::f16 ? -14 : -126;  // exponent of the smallest normal number
  const int exponent = value == 0 ? least : std::max(std::ilogb(value), least);
  return std::ldexp(1.0, exponent - digits + 1);
}

}  // namespace

bool Slope::biased() const {
  if (slices < kLeastSlices) return false;
  return !(std::abs(estimate) <= allowance + kDeviations * standard_error);
}

void BiasTest::add(const TensorSpec& spec, const void* got, const Expected& expected,
                   const Sensitivity& sensitivity, int batch_axis) {
  Sums& sums = sums_[{spec.name, sensitivity.name}];
  sums.allowance = std::max(sums.allowance, sensitivity.allowance);
  std::int64_t inner = 1, length = spec.elements();
  if (batch_axis >= 0) {
    const auto axis = static_cast<std::size_t>(batch_axis);
    inner = spec.strides[axis];
    length = spec.shape[axis];
  }
  std::vector<Slice> slices(static_cast<std::size_t>(length));
  for (std::int64_t i = 0; i < spec.elements(); ++i) {
    const auto at = static_cast<std::size_t>(i);
    const double s = sensitivity.value[at];
    const double want = expected.value[at];
    const double error = value_at(spec, got, i) - rounded(want, spec.dtype);
    const double step = ulp(want, spec.dtype), bound = expected.bound[at];
    const double weight = 1 / (step * step / 12 + bound * bound / 16);
    if (!std::isfinite(error) || !std::isfinite(s * s * weight) || s == 0) continue;
    Slice& slice = slices[static_cast<std::size_t>(i / inner % length)];
    slice.error += weight * s * error;
    slice.square += weight * s * s;
  }
  for (const Slice& slice : slices)
    if (slice.square > 0) sums.slices.push_back(slice);
}

std::vector<Slope> BiasTest::slopes() const {
  std::vector<Slope> result;
  for (const auto& [names, sums] : sums_) {
    double error = 0, square = 0, scatter = 0, weights = 0;
    for (const Slice& slice : sums.slices) {
      error += slice.error;
      square += slice.square;
      weights += slice.square * slice.square;
    }
    if (!(square > 0)) continue;
    Slope slope{.output = names.first,
                .sensitivity = names.second,
                .slices = square * square / weights,
                .estimate = error / square,
                .allowance = sums.allowance};
    for (const Slice& slice : sums.slices) {
      const double rest = slice.error - slope.estimate * slice.square;
      scatter += rest * rest;
    }
    slope.standard_error = std::sqrt(scatter) / square;
    result.push_back(std::move(slope));
  }
  return result;
}

}  // namespace assay
