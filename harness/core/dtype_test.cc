#include "harness/core/dtype.h"

#include <bit>
#include <cmath>
#include <limits>
#include <string>

#include "harness/core/convert.h"
#include "harness/testing.h"

namespace assay {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();

// The value of `bits` by the definition of the format, with `fraction_bits` and exponent bias 15
// (f16) or 127 (bf16).
double decode(std::uint16_t bits, int fraction_bits, int bias) {
  const int exponent = (bits & 0x7fff) >> fraction_bits;
  const int fraction = bits & ((1 << fraction_bits) - 1);
  const double sign = (bits & 0x8000) != 0 ? -1 : 1;
  if (exponent == 2 * bias + 1) return fraction != 0 ? std::nan("") : sign * kInf;
  const int significand = exponent == 0 ? fraction : fraction + (1 << fraction_bits);
  return sign * std::ldexp(significand, std::max(exponent, 1) - bias - fraction_bits);
}

struct F16 {
  using Type = f16;
  static constexpr int kFraction = 10, kBias = 15;
};
struct Bf16 {
  using Type = bf16;
  static constexpr int kFraction = 7, kBias = 127;
};

template <class Format>
std::uint16_t rounded(double value) {
  return round_to<typename Format::Type>(value).bits;
}

bool is_nan(std::uint16_t bits, int fraction_bits) {
  return (bits & 0x7fff) > (0x7fff >> fraction_bits << fraction_bits);
}

// Walks all finite magnitudes: the values themselves, the halfway points to the next, and the
// doubles on either side.
template <class Format>
void check_format() {
  constexpr auto kInfBits =
      static_cast<std::uint16_t>(0x7fff >> Format::kFraction << Format::kFraction);
  int wrong = 0;
  for (int i = 0; i < 0x10000; ++i) {
    const auto bits = static_cast<std::uint16_t>(i);
    const typename Format::Type stored{bits};
    const double value = decode(bits, Format::kFraction, Format::kBias);
    if (std::isnan(value)) {
      wrong += !std::isnan(to_float(stored)) || !std::isnan(widen(stored));
      wrong += !is_nan(rounded<Format>(to_float(stored)), Format::kFraction);
      wrong += !is_nan(narrow<typename Format::Type>(widen(stored)).bits, Format::kFraction);
      continue;
    }
    wrong += static_cast<double>(to_float(stored)) != value;
    wrong += std::signbit(to_float(stored)) != std::signbit(value);
    wrong += rounded<Format>(value) != bits;
    wrong += narrow<typename Format::Type>(static_cast<float>(value)).bits != bits;
    wrong += std::bit_cast<std::uint32_t>(widen(stored)) !=
             std::bit_cast<std::uint32_t>(to_float(stored));
  }
  CHECK(wrong == 0);

  for (std::uint16_t bits = 0; bits < kInfBits; ++bits) {
    const double low = decode(bits, Format::kFraction, Format::kBias);
    const auto above = static_cast<std::uint16_t>(bits + 1);
    // The last finite value is followed by what would be next if exponents went on.
    const double high = above == kInfBits ? std::ldexp(1.0, Format::kBias + 1)
                                          : decode(above, Format::kFraction, Format::kBias);
    const double half = low + (high - low) / 2;  // exact
    const std::uint16_t even = bits % 2 == 0 ? bits : above;
    for (const std::uint16_t sign : {std::uint16_t{0}, std::uint16_t{0x8000}}) {
      const double s = sign != 0 ? -1 : 1;
      wrong += rounded<Format>(s * half) != (even | sign);
      wrong += rounded<Format>(s * std::nextafter(half, 0.0)) != (bits | sign);
      wrong += rounded<Format>(s * std::nextafter(half, kInf)) != (above | sign);
      // A float on either side of halfway, for the conversion from float.
      const auto half_float = static_cast<float>(half);
      if (static_cast<double>(half_float) != half) continue;
      using T = typename Format::Type;
      const auto sf = static_cast<float>(s);
      wrong += narrow<T>(sf * half_float).bits != (even | sign);
      wrong += narrow<T>(sf * std::nextafter(half_float, 0.0f)).bits != (bits | sign);
      wrong += narrow<T>(sf * std::nextafter(half_float, INFINITY)).bits != (above | sign);
    }
  }
  CHECK(wrong == 0);
}

}  // namespace

TEST_CASE("dtype names read back", "[dtype]") {
  for (const DType dtype : kAllDTypes) CHECK(parse_dtype(name(dtype)) == dtype);
  CHECK(name(DType::bf16) == "bf16");
  CHECK(dtype_names() == std::vector<std::string>{"f32", "f16", "bf16"});
  CHECK_FALSE(parse_dtype("fp32"));
  CHECK_FALSE(parse_dtype(""));
}

TEST_CASE("every f16 widens exactly and rounds once", "[dtype]") { check_format<F16>(); }

TEST_CASE("every bf16 widens exactly and rounds once", "[dtype]") { check_format<Bf16>(); }

TEST_CASE("rounding through float first would be wrong here", "[dtype]") {
  // 1 + 2^-11 lies halfway between two f16, 2^-40 more decides for the upper one; a float can't
  // hold that.
  const double f16_trap = 1 + 0x1p-11 + 0x1p-40;
  CHECK(round_to<f16>(f16_trap).bits == 0x3c01);
  CHECK(narrow<f16>(static_cast<float>(f16_trap)).bits == 0x3c00);
  CHECK(round_to<f16>(1 + 0x1p-11).bits == 0x3c00);
  CHECK(round_to<f16>(1 + 3 * 0x1p-11 - 0x1p-40).bits == 0x3c01);
  CHECK(round_to<bf16>(1 + 0x1p-8 + 0x1p-40).bits == 0x3f81);
  CHECK(round_to<bf16>(1 + 3 * 0x1p-8 - 0x1p-40).bits == 0x3f81);
  // Halves of the smallest subnormals.
  CHECK(round_to<f16>(0x1p-25).bits == 0);
  CHECK(round_to<f16>(0x1p-25 + 0x1p-70).bits == 1);
  CHECK(round_to<bf16>(0x1p-134).bits == 0);
  CHECK(round_to<bf16>(0x1p-134 + 0x1p-180).bits == 1);
  CHECK(round_to<bf16>(-0x1p-300).bits == 0x8000);
}

TEST_CASE("overflow rounds to infinity from half an ulp above the largest", "[dtype]") {
  CHECK(round_to<f16>(65504).bits == 0x7bff);
  CHECK(round_to<f16>(std::nextafter(65520.0, 0.0)).bits == 0x7bff);
  CHECK(round_to<f16>(65520).bits == 0x7c00);
  CHECK(round_to<f16>(-1e300).bits == 0xfc00);
  CHECK(round_to<bf16>(std::numeric_limits<float>::max()).bits == 0x7f80);
  CHECK(round_to<bf16>(kInf).bits == 0x7f80);
  CHECK(round_to<float>(0x1.fffffefp127) == std::numeric_limits<float>::max());
  CHECK(round_to<float>(0x1.ffffffp127) == INFINITY);
  CHECK(round_to<float>(1 + 0x1p-24) == 1.0f);
  CHECK(round_to<float>(0x1.8p-149) == 0x1p-148f);
  CHECK(std::isnan(round_to<float>(std::nan(""))));
}

TEST_CASE("dispatch hands over the storage type", "[dtype]") {
  for (const DType dtype : kAllDTypes) {
    dispatch(dtype, [dtype](auto type) {
      using T = typename decltype(type)::type;
      CHECK(dtype_of<T> == dtype);
      CHECK(sizeof(T) == size_of(dtype));
    });
  }
}

}  // namespace assay
