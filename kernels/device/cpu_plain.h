// What the plainest cpu kernels do with rows: fp32, one step after the other, no vectors.
#pragma once

#include <cstdint>

#include "harness/core/convert.h"
#include "harness/core/tensor.h"

namespace assay::cpu::plain {

inline constexpr int kLanes = 64;  // running sums over D

// Elements [first, first + count) of a tensor.
inline void load_row(const TensorView& tensor, std::int64_t first, std::int64_t count, float* out) {
  dispatch(tensor.spec.dtype, [&](auto type) {
    const auto* from = tensor.as<const typename decltype(type)::type>() + first;
    for (std::int64_t i = 0; i < count; ++i) out[i] = widen(from[i]);
  });
}

inline void store_row(const TensorView& tensor, std::int64_t first, std::int64_t count,
                      const float* row) {
  dispatch(tensor.spec.dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    for (std::int64_t i = 0; i < count; ++i) tensor.as<T>()[first + i] = narrow<T>(row[i]);
  });
}

inline float dot(const float* x, const float* y, std::int64_t count) {
  float sums[kLanes] = {};
  for (std::int64_t i = 0; i < count; ++i) sums[i % kLanes] += x[i] * y[i];
  for (int width = kLanes / 2; width > 0; width /= 2)
    for (int lane = 0; lane < width; ++lane) sums[lane] += sums[lane + width];
  return sums[0];
}

inline void add_row(float* to, float factor, const float* row, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) to[i] += factor * row[i];
}

// target = factor⊙row, all ones where the factor has no data; `product` is scratch.
inline void store_product(const TensorView& factor, const TensorView& target, const float* row,
                          std::int64_t count, float* product) {
  for (std::int64_t i = 0; i < count; ++i) product[i] = 1;
  if (factor.data) load_row(factor, 0, count, product);
  for (std::int64_t i = 0; i < count; ++i) product[i] *= row[i];
  store_row(target, 0, count, product);
}

}  // namespace assay::cpu::plain
