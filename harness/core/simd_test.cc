#include "harness/core/simd.h"

#include <cmath>
#include <cstdint>
#include <vector>

#include "harness/testing.h"

namespace assay {
namespace {

// y = 3x + 1 in whole registers, then one by one: exact in every instruction set for small
// integers.
struct Affine {
  template <Isa isa>
  static ASSAY_INLINE void run(const float* x, float* y, std::int64_t n, int* width) {
    using Floats = simd_vector<float, simd_width(isa)>;
    const auto apply = [](auto v) ASSAY_INLINE_LAMBDA { return v * 3.0f + 1.0f; };
    std::int64_t i = 0;
    for (; i + simd_width(isa) <= n; i += simd_width(isa)) {
      Floats v;
      __builtin_memcpy(&v, x + i, sizeof v);
      v = apply(v);
      __builtin_memcpy(y + i, &v, sizeof v);
    }
    for (; i < n; ++i) y[i] = apply(x[i]);
    *width = simd_width(isa);
  }
};

TEST_CASE("every instruction set of this machine computes the same", "[simd]") {
  constexpr std::int64_t kSize = 103;
  std::vector<float> x(kSize), want(kSize);
  for (std::int64_t i = 0; i < kSize; ++i) {
    x[i] = static_cast<float>(i - 50);
    want[i] = x[i] * 3.0f + 1.0f;
  }
  for (Isa isa : kAllIsas) {
    if (!available(isa)) continue;
    std::vector<float> y(kSize, NAN);
    int width = 0;
    run_simd_on<Affine>(isa, static_cast<const float*>(x.data()), y.data(), kSize, &width);
    CHECK(width == simd_width(isa));
    CHECK(y == want);
  }
}

TEST_CASE("run_simd uses the best instruction set", "[simd]") {
  CHECK(available(Isa::baseline));
  REQUIRE(available(best_isa()));
  float x = 2, y = 0;
  int width = 0;
  run_simd<Affine>(static_cast<const float*>(&x), &y, std::int64_t{1}, &width);
  CHECK(y == 7.0f);
  CHECK(width == simd_width(best_isa()));
}

TEST_CASE("names of instruction sets round-trip", "[simd]") {
  for (Isa isa : kAllIsas) CHECK(parse_isa(name(isa)) == isa);
  CHECK_FALSE(parse_isa("avx").has_value());
  CHECK_FALSE(parse_isa("").has_value());
}

}  // namespace
}  // namespace assay
