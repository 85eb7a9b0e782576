#include "harness/engine/interval.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "harness/engine/judge_chunk.h"
#include "harness/testing.h"
#include "harness/testing_numbers.h"

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

namespace {

// Every answer of judge(), from single elements.
template <class T>
void compare_with_single_elements(std::int64_t size, bool exact) {
  const TensorSpec spec{"O", Role::out, dtype_of<T>, {size}, {1}};
  Expected expected("O", size);
  std::vector<T> got(static_cast<std::size_t>(size)), zeros(got.size(), round_to<T>(0));
  Mixed mixed{static_cast<std::uint64_t>(size)};
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double want = expected.value[i] = mixed.want();
    const double bound = expected.bound[i] = mixed.bound(want);
    got[i] = round_to<T>(mixed.got(want, bound));
  }
  const Judgement judgement = judge(spec, got.data(), expected, exact);

  const std::vector<std::int64_t> wrong =
      wrong_elements(spec, got.data(), expected, exact, got.size());
  std::vector<bool> is_wrong(got.size()), zero_is_wrong(got.size());
  for (const std::int64_t i : wrong) is_wrong[static_cast<std::size_t>(i)] = true;
  for (const std::int64_t i : wrong_elements(spec, zeros.data(), expected, exact, got.size()))
    zero_is_wrong[static_cast<std::size_t>(i)] = true;
  double most = 0, errors = 0, wants = 0;
  std::int64_t worst = -1, nonzero = 0, accepted = 0, right = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double want = expected.value[i], bound = exact ? 0 : expected.bound[i];
    const double value = to_float(got[i]);
    const double used = is_wrong[i] ? std::max(utilisation(want, bound, value, spec.dtype),
                                               std::nextafter(1.0, 2.0))
                                    : std::min(utilisation(want, bound, value, spec.dtype), 1.0);
    if (used > most) {
      most = used;
      worst = static_cast<std::int64_t>(i);
    }
    if (std::isfinite(value - want)) {
      errors += (value - want) * (value - want);
      wants += want * want;
    }
    if (want != 0) {
      ++nonzero;
      if (!zero_is_wrong[i]) ++accepted;
    }
    if (!is_wrong[i] && used == 0 && to_float(round_to<T>(want)) == value) ++right;
  }
  CHECK(judgement.wrong == static_cast<std::int64_t>(wrong.size()));
  CHECK(judgement.utilisation == most);
  CHECK(judgement.worst == worst);
  CHECK(judgement.nonzero == nonzero);
  CHECK(judgement.zero_accepted == accepted);
  CHECK(judgement.ulps[0] >= right);
  CHECK(std::accumulate(judgement.ulps.begin(), judgement.ulps.end(), std::int64_t{0}) == size);
  CHECK(std::abs(judgement.error_squared - errors) <= 1e-12 * errors);
  CHECK(std::abs(judgement.want_squared - wants) <= 1e-12 * wants);
}

// The functions on bits of doubles against conversions of stored numbers.
template <class T>
void compare_with_type() {
  Mixed mixed;
  for (int i = 0; i < 20'000; ++i) {
    const double value = mixed.want() * (i % 3 == 0 ? 0x1p-120 : 1);
    const double rounded = to_float(round_to<T>(value)), found = judging::rounded<T>(value);
    CAPTURE(value, rounded, found);
    REQUIRE(((std::isnan(rounded) && std::isnan(found)) ||
             std::bit_cast<std::uint64_t>(rounded) == std::bit_cast<std::uint64_t>(found)));
    if (!(std::abs(rounded) < FloatFormat<T>::kMost)) continue;
    for (const double target : {-kInf, kInf}) {
      const double next = judging::neighbour<T>(rounded, target);
      const double between = (rounded + next) / 2;  // nothing of T lies there
      CHECK((target > 0 ? next > rounded : next < rounded));
      CHECK(to_float(round_to<T>(next)) == next);
      const double nearest = to_float(round_to<T>(between));
      CHECK((nearest == rounded || nearest == next));
      CHECK(judging::rank<T>(next) - judging::rank<T>(rounded) == (target > 0 ? 1 : -1));
    }
  }
  CHECK(judging::rank<T>(kInf) == judging::rank<T>(FloatFormat<T>::kMost) + 1);
}

// What the clone for an instruction set says of a chunk.
template <class T>
struct ChunkOn {
  JudgeSums sums;
  JudgedChunk judged;

  explicit ChunkOn(Isa isa) {
    std::vector<T> got(kJudgeChunk);
    std::vector<double> want(kJudgeChunk), bound(kJudgeChunk);
    Mixed mixed;
    for (std::size_t i = 0; i < got.size(); ++i) {
      want[i] = mixed.want();
      bound[i] = mixed.bound(want[i]);
      got[i] = round_to<T>(mixed.got(want[i], bound[i]));
    }
    run_simd_on<JudgeChunk<T>>(
        isa, static_cast<const T*>(got.data()), static_cast<const double*>(want.data()),
        static_cast<const double*>(bound.data()), kJudgeChunk, 0x1p-24, &sums, &judged);
  }
};

template <class T>
void compare_instruction_sets() {
  const ChunkOn<T> baseline(Isa::baseline);
  int open = 0;
  for (std::int64_t i = 0; i < kJudgeChunk; ++i)
    if (baseline.judged.distance[i] < 0) ++open;
  CHECK(open > kJudgeChunk / 5);  // see compare_with_single_elements for the answers
  CHECK(open < kJudgeChunk * 4 / 5);
  for (const Isa isa : {Isa::avx2, Isa::avx512}) {
    if (!available(isa)) continue;
    const ChunkOn<T> other(isa);
    for (std::int64_t i = 0; i < kJudgeChunk; ++i) {
      CHECK(other.judged.distance[i] == baseline.judged.distance[i]);
      if (baseline.judged.distance[i] > 0) CHECK(other.judged.used[i] == baseline.judged.used[i]);
    }
    CHECK(other.sums.nonzero == baseline.sums.nonzero);
    CHECK(other.sums.zero_accepted == baseline.sums.zero_accepted);
    CHECK(other.sums.unsound == baseline.sums.unsound);
    for (int lane = 0; lane < kJudgeLanes; ++lane)
      CHECK(other.sums.error_squared[lane] == baseline.sums.error_squared[lane]);
  }
}

}  // namespace

TEST_CASE("numbers are rounded, ranked and stepped through as their types have them") {
  compare_with_type<float>();
  compare_with_type<f16>();
  compare_with_type<bf16>();
}

TEST_CASE("judging many elements at a time finds what single elements say") {
  for (const bool exact : {false, true}) {
    for (const std::int64_t size : {1, 7, 8, 500, 513, 70'001}) {
      INFO(size << (exact ? " exact" : ""));
      compare_with_single_elements<float>(size, exact);
      compare_with_single_elements<f16>(size, exact);
      compare_with_single_elements<bf16>(size, exact);
    }
  }
}

TEST_CASE("judging counts the bounds that can't be right") {
  const TensorSpec spec{"O", Role::out, DType::f32, {1000}, {1}};
  Expected expected("O", 1000);
  std::fill_n(expected.value.get(), 1000, -2.0);
  std::fill_n(expected.bound.get(), 1000, 0x1p-23);
  const std::vector<float> got(1000, -2);
  CHECK(judge(spec, got.data(), expected, false, 0x1p-24).unsound == 0);
  expected.bound[3] = -1;
  expected.bound[500] = kNan;
  expected.bound[999] = 0x1p-23 * (1 - 0x1p-40);
  expected.bound[600] = -1;  // says nothing
  expected.value[600] = kInf;
  CHECK(judge(spec, got.data(), expected, false, 0x1p-24).unsound == 3);
  CHECK(judge(spec, got.data(), expected).unsound == 2);
}

TEST_CASE("judging does not depend on the instruction set") {
  compare_instruction_sets<float>();
  compare_instruction_sets<f16>();
  compare_instruction_sets<bf16>();
}

TEST_CASE("the first difference and the first wrong elements are found in outputs of any size") {
  for (const std::int64_t size : {3, 1000, 300'001}) {
    const TensorSpec spec{"O", Role::out, DType::f32, {size}, {1}};
    Expected expected("O", size);
    std::fill_n(expected.value.get(), size, 1.0);
    std::fill_n(expected.bound.get(), size, 0.0);
    const std::vector<float> right(static_cast<std::size_t>(size), 1);
    CHECK_FALSE(first_difference(spec, right.data(), right.data()).has_value());
    std::vector<float> wrong = right;
    for (const std::int64_t at : {size - 1, size / 2, std::int64_t{0}}) {
      wrong[static_cast<std::size_t>(at)] = 2;
      CHECK(first_difference(spec, right.data(), wrong.data()) == at);
    }
    CHECK(wrong_elements(spec, wrong.data(), expected, false, 2) ==
          std::vector<std::int64_t>{0, size / 2});
    CHECK(wrong_elements(spec, wrong.data(), expected, false, 9).size() == 3);
  }
}

}  // namespace assay
