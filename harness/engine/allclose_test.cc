#include "harness/engine/allclose.h"

#include <cmath>
#include <limits>

#include "harness/testing.h"

namespace assay {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

template <class T>
bool close(double got, double want, Tolerance tolerance) {
  const T value = round_to<T>(got);
  Expected expected("O", 1);
  expected.value[0] = want;
  expected.bound[0] = 0;
  const TensorSpec spec{"O", Role::out, dtype_of<T>, {1}, {1}};
  return allclose(spec, &value, expected, tolerance);
}

}  // namespace

TEST_CASE("allclose accepts up to atol + rtol times the reference") {
  CHECK(close<float>(1.5, 1, {.rtol = 0.25, .atol = 0.25}));
  CHECK_FALSE(close<float>(1.51, 1, {.rtol = 0.25, .atol = 0.25}));
  CHECK(close<float>(-2.5, -2, {.rtol = 0.25, .atol = 0}));
  CHECK_FALSE(close<float>(0.1, 0, {.rtol = 10, .atol = 0}));
  CHECK(close<float>(3, 3, {}));
}

TEST_CASE("allclose compares with the reference as the dtype holds it") {
  CHECK(close<bf16>(1, 1 + 0x1p-9, {}));
  CHECK_FALSE(close<bf16>(1, 1 + 0x1p-7, {}));
  CHECK(close<f16>(kInf, 1e6, {}));
}

TEST_CASE("allclose takes no NaN for close and infinities only for themselves") {
  const Tolerance any{.rtol = 1, .atol = 1e30};
  CHECK_FALSE(close<float>(kNan, 1, any));
  CHECK_FALSE(close<float>(1, kNan, any));
  CHECK_FALSE(close<float>(kNan, kNan, any));
  CHECK(close<float>(kInf, kInf, any));
  CHECK_FALSE(close<float>(kInf, -kInf, any));
  CHECK_FALSE(close<float>(kInf, 1, any));
  CHECK_FALSE(close<float>(1, kInf, any));
}

TEST_CASE("the usual tolerances by dtype") {
  CHECK(assert_close_tolerance(DType::f32).rtol == 1.3e-6);
  CHECK(assert_close_tolerance(DType::f16).rtol == 1e-3);
  CHECK(assert_close_tolerance(DType::bf16).rtol == 1.6e-2);
  CHECK(assert_close_tolerance(DType::bf16).atol == 1e-5);
  CHECK(attention_test_tolerance(DType::bf16).atol == 1e-2);
  CHECK(loose_tolerance(DType::bf16).atol == 1e-1);
  REQUIRE(usual_tolerances().size() == 3);
  for (const NamedTolerance& tolerance : usual_tolerances())
    CHECK(tolerance.of(DType::f16).atol > 0);
}

}  // namespace assay
