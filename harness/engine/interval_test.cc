#include "harness/engine/interval.h"

#include <cmath>
#include <limits>
#include <vector>

#include "harness/testing.h"

namespace assay {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();

// Judges one f32 or 16-bit element.
template <class T>
bool passes(double want, double bound, double got) {
  const TensorSpec spec{"O", Role::out, dtype_of<T>, {1}, {1}};
  Expected expected("O", 1);
  expected.value[0] = want;
  expected.bound[0] = bound;
  const T stored = round_to<T>(got);
  return judge(spec, &stored, expected).wrong == 0;
}

}  // namespace

TEST_CASE("the interval is rounded to the output's dtype") {
  // bf16 has 8 significant bits: its neighbours of 1 are 0.99609375 and 1.0078125.
  CHECK(passes<bf16>(1.003, 0, 1.0));  // the nearest, though the error is 0.003 and the bound 0
  CHECK_FALSE(passes<bf16>(1.003, 0, 1.0078125));
  CHECK(passes<bf16>(1.003, 0.001, 1.0078125));  // 1.004 rounds up
  CHECK_FALSE(passes<bf16>(1.003, 0.001, 0.99609375));
  CHECK(passes<float>(1.0, 1e-6, 1.0 + 0x1p-20));
  CHECK_FALSE(passes<float>(1.0, 1e-6, 1.0 + 0x1p-19));
  CHECK(passes<f16>(65519.0, 0, 65504.0));  // still rounds to the largest f16
  CHECK(passes<f16>(65520.0, 0, kInf));     // and this overflows
  CHECK_FALSE(passes<f16>(65500.0, 0, kInf));
  CHECK(passes<f16>(1e-9, 0, 0));  // under half the least subnormal
}

TEST_CASE("NaN matches NaN and nothing else, and Inf is judged by the interval") {
  CHECK(passes<float>(kNan, 0, kNan));
  CHECK_FALSE(passes<float>(kNan, 1, 1));
  CHECK_FALSE(passes<float>(1, 1, kNan));
  CHECK_FALSE(passes<float>(1, kNan, 1));  // a bound that is NaN lets nothing pass
  CHECK_FALSE(passes<float>(1, 1, kInf));
  CHECK(passes<float>(kInf, 0, kInf));
  CHECK_FALSE(passes<float>(kInf, 0, -kInf));
  CHECK_FALSE(passes<float>(kInf, 0, 1));
}

TEST_CASE("utilisation is the least multiple of the bound that lets an element pass") {
  CHECK(utilisation(1.003, 0.001, 1.0, DType::bf16) == 0);  // its own rounding
  // 1.0078125 is reached at the midpoint 1.00390625, 0.00090625 from 1.003.
  CHECK(std::abs(utilisation(1.003, 0.001, 1.0078125, DType::bf16) - 0.90625) < 1e-9);
  CHECK(std::abs(utilisation(-1.003, 0.001, -1.0078125, DType::bf16) - 0.90625) < 1e-9);
  // In f32 the midpoint next to 1.5 is half an ulp, 2^-24, away from it.
  CHECK(std::abs(utilisation(1.0, 0.25, 1.5, DType::f32) - (0.5 - 0x1p-24) / 0.25) < 1e-12);
  CHECK(utilisation(1.0, 0, 1.5, DType::f32) == kInf);
  CHECK(utilisation(1.0, 1.0, kNan, DType::f32) == kInf);
  CHECK(utilisation(kNan, 1.0, kNan, DType::f32) == 0);
  // Across zero: the neighbour of the least subnormal towards 1 is 2^-133 further.
  CHECK(utilisation(1e-3, 1.0, -0x1p-133, DType::bf16) > 1e-3 * 0.99);
}

TEST_CASE("judging reports how many elements are wrong and the worst of them") {
  constexpr std::int64_t kSize = 200'000;  // several blocks
  const TensorSpec spec{"O", Role::out, DType::f32, {2, kSize / 2}, {kSize / 2, 1}};
  Expected expected("O", kSize);
  std::vector<float> got(kSize);
  for (std::int64_t i = 0; i < kSize; ++i) {
    expected.value[static_cast<std::size_t>(i)] = 1.0 + static_cast<double>(i % 7);
    expected.bound[static_cast<std::size_t>(i)] = 1e-5;
    got[static_cast<std::size_t>(i)] = static_cast<float>(1 + i % 7);
  }
  CHECK(judge(spec, got.data(), expected).wrong == 0);
  CHECK(judge(spec, got.data(), expected).worst == -1);
  CHECK(judge(spec, got.data(), expected).zero_accepted == 0);

  got[150'003] += 1e-3F;
  got[70'000] += 1e-4F;
  Judgement judgement = judge(spec, got.data(), expected);
  CHECK(judgement.wrong == 2);
  CHECK(judgement.worst == 150'003);
  const Element worst = element(spec, got.data(), expected, judgement.worst);
  CHECK(worst.index == std::vector<std::int64_t>{1, 50'003});
  CHECK(std::abs(worst.got - worst.want - 1e-3) < 1e-6);
  CHECK(std::abs(judgement.error_rms() - std::sqrt((1e-6 + 1e-8) / kSize)) < 1e-8);

  got[5] = std::numeric_limits<float>::quiet_NaN();
  judgement = judge(spec, got.data(), expected);
  CHECK(judgement.wrong == 3);
  CHECK(judgement.worst == 5);  // nothing is worse than a NaN
  CHECK(first_difference(spec, got.data(), got.data()) == std::nullopt);  // bits, not values
}

TEST_CASE("the share of elements that zero would pass for is counted") {
  const TensorSpec spec{"O", Role::out, DType::f32, {4}, {1}};
  Expected expected("O", 4);
  const double want[] = {0, 1e-9, 1, 2}, bound[] = {1, 1e-6, 1e-6, 3};
  for (std::size_t i = 0; i < 4; ++i) {
    expected.value[i] = want[i];
    expected.bound[i] = bound[i];
  }
  const float got[] = {0, 0, 1, 2};
  const Judgement judgement = judge(spec, got, expected);
  CHECK(judgement.nonzero == 3);
  CHECK(judgement.zero_accepted == 2);

  CHECK_FALSE(zeros_would_pass(0, 0));
  CHECK_FALSE(zeros_would_pass(1, 74));  // 1.4 %, by chance
  CHECK_FALSE(zeros_would_pass(1, 2));
  CHECK(zeros_would_pass(2, 2));
  CHECK(zeros_would_pass(6, 74));
  CHECK_FALSE(zeros_would_pass(100'000, 10'000'000));  // 1 %
  CHECK(zeros_would_pass(101'500, 10'000'000));
}

}  // namespace assay
