#include "harness/engine/bias.h"

#include <cmath>

#include "harness/core/random.h"
#include "harness/testing.h"

namespace assay {
namespace {

// Tokens of 16 elements with sensitivities of any size. An output in fp32 whose errors are noise of
// the tokens (a quarter of the bound) and `slope` times the sensitivity.
BiasTest outputs_with(double slope, int tokens, double allowance) {
  const TensorSpec spec{"O", Role::out, DType::f32, {tokens, 16}, {16, 1}};
  const auto size = static_cast<std::size_t>(spec.elements());
  constexpr double kBound = 1e-3;
  Expected expected("O", spec.elements());
  Sensitivity sensitivity{"scale", "O", allowance, std::vector<double>(size)};
  std::vector<float> got(size), draw(2 * size);
  random_gaussian({5, 0}, 0, static_cast<std::int64_t>(2 * size), draw.data());
  for (std::size_t i = 0; i < size; ++i) {
    sensitivity.value[i] = draw[i];
    expected.value[i] = 1;
    expected.bound[i] = kBound;
    const double noise = kBound / 4 * draw[size + i / 16] * draw[size + i];
    got[i] = static_cast<float>(1 + noise + slope * sensitivity.value[i]);
  }
  BiasTest test;
  test.add(spec, got.data(), expected, sensitivity, 0);
  return test;
}

}  // namespace

TEST_CASE("a slope far inside of the bound is found among many tokens, noise is none") {
  const Slope biased = outputs_with(2e-4, 400, 1e-6).slopes().at(0);
  CHECK((biased.slices > 300 && biased.slices <= 400));  // of unequal weight
  CHECK(std::abs(biased.estimate - 2e-4) < 5 * biased.standard_error);
  CHECK(biased.biased());
  CHECK_FALSE(outputs_with(0, 400, 0).slopes().at(0).biased());
  // What the declared arithmetic explains is no bias; few tokens prove nothing.
  CHECK_FALSE(outputs_with(2e-4, 400, 2e-4).slopes().at(0).biased());
  CHECK_FALSE(outputs_with(2e-4, 31, 1e-6).slopes().at(0).biased());
}

TEST_CASE("elements without a finite error have no say") {
  const TensorSpec spec{"O", Role::out, DType::bf16, {2}, {1}};
  const bf16 got[] = {{0x7fc0}, {0x3f80}};
  Expected expected("O", 2);
  for (std::size_t i : {0U, 1U}) expected.value[i] = 1, expected.bound[i] = 0.01;
  BiasTest test;
  test.add(spec, got, expected, {"scale", "O", 0, {1, 1}}, -1);
  CHECK(test.slopes().at(0).slices == 1);
  CHECK(test.slopes().at(0).estimate == 0);
}

}  // namespace assay
