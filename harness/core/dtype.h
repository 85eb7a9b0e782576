// Element types of tensors: names, sizes, and exact conversions. The 16-bit types are storage only;
// arithmetic happens in float or double.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace assay {

enum class DType : std::uint8_t { f32, f16, bf16 };

struct f16 {  // IEEE 754 binary16
  std::uint16_t bits;
};
struct bf16 {  // the upper half of a binary32
  std::uint16_t bits;
};

inline constexpr DType kAllDTypes[] = {DType::f32, DType::f16, DType::bf16};

std::string_view name(DType dtype);
std::optional<DType> parse_dtype(std::string_view text);
std::vector<std::string> dtype_names();

constexpr std::size_t size_of(DType dtype) { return dtype == DType::f32 ? 4 : 2; }

template <class T>
inline constexpr DType dtype_of = std::is_same_v<T, float> ? DType::f32
                                  : std::is_same_v<T, f16> ? DType::f16
                                                           : DType::bf16;

// Exact widening.
float to_float(f16 value);
constexpr float to_float(bf16 value) {
  return __builtin_bit_cast(float, static_cast<std::uint32_t>(value.bits) << 16);
}
constexpr float to_float(float value) { return value; }

// Rounds once, to nearest with ties to even, from double: subnormals, overflow to Inf and NaN
// included. (Rounding through float first would round twice.)
template <class T>
T round_to(double value);
template <>
float round_to<float>(double value);
template <>
f16 round_to<f16>(double value);
template <>
bf16 round_to<bf16>(double value);

// Calls f(std::type_identity<T>{}) with the storage type of `dtype`.
template <class F>
decltype(auto) dispatch(DType dtype, F&& f) {
  switch (dtype) {
    case DType::f16:
      return std::forward<F>(f)(std::type_identity<f16>{});
    case DType::bf16:
      return std::forward<F>(f)(std::type_identity<bf16>{});
    case DType::f32:
      break;
  }
  return std::forward<F>(f)(std::type_identity<float>{});
}

}  // namespace assay
