// The reference of attnres_fwd: against numbers worked out by hand, against PyTorch, against its
// own definition in Eigen, and under transformations that must not change it.
// attnres_fwd_bound_test.cc judges the bounds.
#include "reference/attnres_fwd.h"

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <sstream>

#include "harness/testing.h"
#include "reference/attnres_fwd_testing.h"
#include "reference/families.h"

namespace assay {
namespace {

using attnres_testing::Data;
using attnres_testing::store;

bool close(double got, double want, double tolerance = 1e-13) {
  return std::abs(got - want) <= tolerance * std::max(1.0, std::abs(want));
}

void set(const Data& data, const char* tensor, const std::vector<double>& values) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    store(data.inputs[tensor], static_cast<std::int64_t>(i), values[i]);
  }
}

// The largest |a - b| relative to max(1, |b|) over all elements; NaN counts as infinite.
double distance(const Expected& a, const Expected& b, double scale = 1) {
  REQUIRE(a.size == b.size);
  double worst = 0;
  for (std::int64_t i = 0; i < a.size; ++i) {
    const auto at = static_cast<std::size_t>(i);
    const double error =
        std::abs(a.value[at] - scale * b.value[at]) / std::max(1.0, std::abs(a.value[at]));
    worst = error <= worst ? worst : std::isnan(error) ? INFINITY : error;
  }
  return worst;
}

}  // namespace

TEST_CASE("attnres_fwd: two sources by hand", "[attnres_fwd]") {
  // eps = 0, rows of root mean square 1 and 2: r = 1, 1/2. V = (1, 1), (2, -2); w = (1, 0), g = (ln
  // 3, 5). l = ln 3 · (1, 1), so both weights are 1/2: O = (3/2, -1/2), LSE = ln 3 + ln 2. Second
  // query: w = (1/2, 1/2), g = (1, 1): l = (1, 0); weights 1/(1 + 1/e), 1/(1 + e).
  Data data({2, 2, 1, 2}, DType::f32, DType::f32, true, 0.0);
  const double ln3 = static_cast<float>(std::log(3.0));
  set(data, "V", {1, 1, 2, -2});
  set(data, "w", {1, 0, 0.5, 0.5});
  set(data, "g", {ln3, 5, 1, 1});
  const auto expected = data.reference();
  REQUIRE(expected.size() == 2);
  CHECK(expected[0].output == "O");
  CHECK(expected[1].output == "LSE");
  CHECK(close(expected[0].value[0], 1.5));
  CHECK(close(expected[0].value[1], -0.5));
  CHECK(close(expected[1].value[0], ln3 + 0.6931471805599453));
  CHECK(close(expected[0].value[2], 0.7310585786300049 + 2 * 0.2689414213699951));
  CHECK(close(expected[0].value[3], 0.7310585786300049 - 2 * 0.2689414213699951));
  CHECK(close(expected[1].value[1], 1.3132616875182228));  // log(e + 1)
}

TEST_CASE("attnres_fwd: eps and a zero row by hand", "[attnres_fwd]") {
  // D = 1: r = 1/√(v² + eps). v = 3, eps = 16: r = 1/5, l = 3w/5 = 3 for w = 5. A zero row has l =
  // 0. N = 2: weights σ(3), σ(-3); O = 3 σ(3), LSE = log(e³ + 1).
  Data data({2, 1, 1, 1}, DType::f16, DType::f16, false, 16.0);
  set(data, "V", {3, 0});
  set(data, "w", {5});
  const auto expected = data.reference();
  CHECK(close(expected[0].value[0], 3 * 0.9525741268224334));
  CHECK(close(expected[1].value[0], 3.048587351573742));
}

TEST_CASE("attnres_fwd: one source is copied", "[attnres_fwd]") {
  for (const DType dtype : kAllDTypes) {
    Data data({1, 3, 5, 37}, dtype, dtype, true);
    const auto expected = data.fill(kSpread).reference();
    const auto& o = expected[0];
    for (std::int64_t i = 0; i < o.size; ++i) {
      const auto at = static_cast<std::size_t>(i);
      REQUIRE(o.value[at] == data.v(0, i / 37 % 5, i % 37));
      // Nothing but the mix's roundings is left: α = 1 and v = o.
      REQUIRE(o.bound[at] <= 10 * 0x1p-24 * std::abs(o.value[at]) + 0x1p-124);
    }
  }
}

TEST_CASE("attnres_fwd agrees with PyTorch in fp64", "[attnres_fwd]") {
  std::ifstream file(ASSAY_SOURCE_DIR "/reference/fixtures/attnres_fwd.txt");
  REQUIRE(file);
  std::string line;
  std::unique_ptr<Data> data;
  std::vector<Expected> expected;
  int compared = 0;
  while (std::getline(file, line)) {
    std::istringstream words(line);
    std::string name, word;
    words >> name;
    if (name == "case") {
      std::string v, w, g;
      attnres_testing::Shape s{};
      double eps = 0;
      words >> v >> w >> g >> s.sources >> s.queries >> s.tokens >> s.dim >> eps;
      REQUIRE(words);
      Problem problem =
          attnres_testing::make_problem(s, *parse_dtype(v), *parse_dtype(w), g != "none", eps);
      if (g != "none") problem.tensors[2].dtype = *parse_dtype(g);
      data = std::make_unique<Data>(problem);
      expected.clear();
    } else if (!name.empty() && name != "#") {
      std::vector<double> values;
      while (words >> word) values.push_back(std::strtod(word.c_str(), nullptr));
      if (name != "O" && name != "LSE") {
        set(*data, name.c_str(), values);
        for (std::size_t i = 0; i < values.size(); ++i) {  // as stored: nothing was rounded
          REQUIRE(attnres_testing::load(data->inputs[name], static_cast<std::int64_t>(i)) ==
                  values[i]);
        }
        continue;
      }
      if (expected.empty()) expected = data->reference();
      const Expected& got = expected[name == "O" ? 0 : 1];
      REQUIRE(got.size == static_cast<std::int64_t>(values.size()));
      double largest = 0;
      for (const double value : values) largest = std::max(largest, std::abs(value));
      for (std::size_t i = 0; i < values.size(); ++i) {
        INFO(name << "[" << i << "]");
        REQUIRE(std::abs(got.value[i] - values[i]) <= 1e-14 * largest);
      }
      ++compared;
    }
  }
  CHECK(compared == 16);
}

TEST_CASE("attnres_fwd's blocked loops compute its definition", "[attnres_fwd]") {
  // Sizes around the loops' blocks of 256 and padding of 16.
  for (const attnres_testing::Shape s : {attnres_testing::Shape{3, 2, 2, 1},
                                         {2, 1, 3, 15},
                                         {9, 2, 2, 17},
                                         {5, 3, 1, 256},
                                         {4, 1, 2, 300},
                                         {65, 2, 1, 523}}) {
    for (const DType dtype : kAllDTypes) {
      for (const char* family : {kGaussian, kSpread}) {
        Data data(s, dtype, DType::f32, true);
        const auto expected = data.fill(family).reference();
        RowMatrix<double> c(s.queries, s.dim), v(s.sources, s.dim);
        for (std::int64_t q = 0; q < s.queries; ++q)
          for (std::int64_t d = 0; d < s.dim; ++d) c(q, d) = data.c(q, d);
        for (std::int64_t t = 0; t < s.tokens; ++t) {
          for (std::int64_t n = 0; n < s.sources; ++n)
            for (std::int64_t d = 0; d < s.dim; ++d) v(n, d) = data.v(n, t, d);
          const auto exact = attnres_fwd_token<double>(v, c, 1e-6);
          for (std::int64_t q = 0; q < s.queries; ++q) {
            INFO("N=" << s.sources << " D=" << s.dim << " " << name(dtype) << " " << family
                      << " t=" << t << " q=" << q);
            REQUIRE(
                close(expected[1].value[static_cast<std::size_t>(q * s.tokens + t)], exact.lse(q)));
            for (std::int64_t d = 0; d < s.dim; ++d) {
              const double magnitude = (exact.weights.row(q).matrix() * v.cwiseAbs().col(d))(0);
              const auto at = static_cast<std::size_t>((q * s.tokens + t) * s.dim + d);
              REQUIRE(std::abs(expected[0].value[at] - exact.output(q, d)) <= 1e-12 * magnitude);
            }
          }
        }
      }
    }
  }
}

TEST_CASE("attnres_fwd: equal values are reproduced", "[attnres_fwd]") {
  Data data({7, 2, 3, 50}, DType::bf16, DType::f32, true);
  data.fill(kGaussian);
  set(data, "V", std::vector<double>(1050, 1.0));
  const auto expected = data.reference();
  for (std::size_t i = 0; i < 300; ++i) CHECK(close(expected[0].value[i], 1));
}

TEST_CASE("attnres_fwd does not depend on the order of sources", "[attnres_fwd]") {
  constexpr std::int64_t kSources = 9, kTokens = 4, kDim = 123;
  Data data({kSources, 2, kTokens, kDim}, DType::f32, DType::f32, false);
  Data permuted({kSources, 2, kTokens, kDim}, DType::f32, DType::f32, false);
  data.fill(kGaussian);
  permuted.fill(kGaussian);
  for (std::int64_t n = 0; n < kSources; ++n) {
    for (std::int64_t i = 0; i < kTokens * kDim; ++i) {
      store(permuted.inputs["V"], n * kTokens * kDim + i,
            data.v(4 * n % kSources, i / kDim, i % kDim));
    }
  }
  const auto a = data.reference(), b = permuted.reference();
  CHECK(distance(a[0], b[0]) < 1e-13);
  CHECK(distance(a[1], b[1]) < 1e-13);
}

TEST_CASE("attnres_fwd scales with V when eps scales with its square", "[attnres_fwd]") {
  Data data({5, 2, 9, 77}, DType::bf16, DType::bf16, true, 1e-6);
  Data scaled({5, 2, 9, 77}, DType::bf16, DType::bf16, true, 1e-6 * 0x1p20);
  data.fill(kSpread);
  scaled.fill(kSpread);
  for (std::int64_t i = 0; i < 3465; ++i) {
    store(scaled.inputs["V"], i, 0x1p10 * attnres_testing::load(data.inputs["V"], i));
  }
  const auto a = data.reference(), b = scaled.reference();
  for (std::size_t i = 0; i < static_cast<std::size_t>(a[0].size); ++i) {
    REQUIRE(b[0].value[i] == 0x1p10 * a[0].value[i]);
  }
  CHECK(distance(a[1], b[1]) == 0);
}

TEST_CASE("attnres_fwd: what is not a number stays in its token", "[attnres_fwd]") {
  const double nan = std::nan(""), inf = std::numeric_limits<double>::infinity();
  for (const double poison : {nan, inf, -inf}) {
    for (const std::int64_t source : {0, 3}) {
      for (const std::int64_t d : {0, 41}) {
        Data data({4, 2, 3, 42}, DType::f16, DType::f32, false);
        data.fill(kGaussian);
        const auto clean = data.reference();
        store(data.inputs["V"], (source * 3 + 1) * 42 + d, poison);
        const auto expected = data.reference();
        for (std::size_t i = 0; i < 252; ++i) {
          if (i / 42 % 3 == 1) {
            REQUIRE(std::isnan(expected[0].value[i]));
          } else {
            REQUIRE(expected[0].value[i] == clean[0].value[i]);
            REQUIRE(expected[0].bound[i] == clean[0].bound[i]);
          }
        }
        for (std::size_t i = 0; i < 6; ++i) CHECK(std::isnan(expected[1].value[i]) == (i % 3 == 1));
      }
    }
  }
}

TEST_CASE("attnres_fwd: a zero row is defined by eps alone", "[attnres_fwd]") {
  for (const double eps : {1e-6, 0.0}) {
    Data data({3, 1, 1, 8}, DType::f32, DType::f32, false, eps);
    data.fill(kGaussian);
    for (std::int64_t d = 0; d < 8; ++d) store(data.inputs["V"], 8 + d, 0);
    const auto expected = data.reference();
    CHECK(std::isfinite(expected[0].value[0]) == (eps > 0));
    CHECK(std::isfinite(expected[1].value[0]) == (eps > 0));
  }
}

TEST_CASE("attnres_fwd's inputs are what the families promise", "[attnres_fwd]") {
  SECTION("the same for a tensor wherever it is filled") {
    constexpr std::size_t kBytes = 16800;  // of V
    Data one({2, 2, 3, 700}, DType::f32, DType::f32, true),
        again({2, 2, 3, 700}, DType::f32, DType::f32, true);
    for (const char* family : {kGaussian, kSpread}) {
      one.fill(family, 5);
      again.fill(family, 5);
      CHECK(std::memcmp(one.inputs["V"].data, again.inputs["V"].data, kBytes) == 0);
      again.fill(family, 6);
      CHECK(std::memcmp(one.inputs["V"].data, again.inputs["V"].data, kBytes) != 0);
    }
    CHECK_THROWS_AS(one.fill("no such family"), std::out_of_range);
  }
  SECTION("gaussian: softmaxes neither flat nor one-hot") {
    Data data({9, 1, 1000, 256}, DType::bf16, DType::bf16, false);
    data.fill(kGaussian);
    RowMatrix<double> c(1, 256), v(9, 256);
    for (int d = 0; d < 256; ++d) c(0, d) = data.c(0, d);
    std::vector<double> largest;
    for (std::int64_t t = 0; t < 1000; ++t) {
      for (int n = 0; n < 9; ++n)
        for (int d = 0; d < 256; ++d) v(n, d) = data.v(n, t, d);
      largest.push_back(attnres_fwd_token<double>(v, c, 1e-6).weights.maxCoeff());
    }
    std::sort(largest.begin(), largest.end());
    CAPTURE(largest[50], largest[500], largest[950]);
    CHECK((largest[50] > 0.2 && largest[500] > 0.4 && largest[500] < 0.7 && largest[950] < 0.98));
  }
  SECTION("spread: eps decides in some rows, vanishes in others, and nothing overflows") {
    for (const DType dtype : kAllDTypes) {
      Data data({4, 1, 200, 64}, dtype, dtype, true);
      data.fill(kSpread);
      int ruled_by_eps = 0, free_of_eps = 0;
      for (std::int64_t row = 0; row < 800; ++row) {
        double square = 0;
        for (std::int64_t d = 0; d < 64; ++d)
          square += std::pow(data.v(row / 200, row % 200, d), 2) / 64;
        REQUIRE((square > 0 && std::isfinite(square)));
        ruled_by_eps += square < 1e-6;
        free_of_eps += square > 1e6 * 1e-6;
      }
      CAPTURE(name(dtype), ruled_by_eps, free_of_eps);
      CHECK((ruled_by_eps > 100 && free_of_eps > 100));
      int negative = 0;
      for (std::int64_t d = 0; d < 64; ++d)
        negative += attnres_testing::load(data.inputs["g"], d) < 0;
      CHECK((negative > 15 && negative < 49));
    }
  }
}

TEST_CASE("attnres_fwd's cost is each tensor once", "[attnres_fwd]") {
  const Cost cost = Data::op().cost(
      attnres_testing::make_problem({9, 2, 16, 100}, DType::bf16, DType::bf16, true));
  CHECK(cost.bytes_read == 2 * (9 * 16 * 100 + 2 * 2 * 100));
  CHECK(cost.bytes_written == 2 * (2 * 16 * 100) + 4 * (2 * 16));
  CHECK(cost.flops == 9 * 16 * 100 * (2 + 4 * 2));
}

}  // namespace assay
