// The reference of attnres_merge_bwd: against the derivative of the forward's definition, against
// its own definition in Eigen, against PyTorch, and against identities that its outputs must
// fulfil. attnres_merge_bwd_bound_test.cc judges the bounds.
#include "reference/attnres_merge_bwd.h"

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <memory>
#include <sstream>

#include "harness/engine/suite.h"
#include "harness/testing.h"
#include "reference/attnres_merge_bwd_testing.h"
#include "reference/attnres_merge_fwd.h"
#include "reference/dual.h"

namespace assay {
namespace {

using attnres_merge_bwd_testing::Data;

// "dtype=bf16 g=1 T=5 D=8"
Problem problem(const std::string& text) { return parse_problem("attnres_merge_bwd " + text); }

using Scalar = Dual<1>;
using DualArray = Eigen::Array<Scalar, Eigen::Dynamic, 1>;

double& at(const Expected& expected, std::int64_t i) {
  return expected.value[static_cast<std::size_t>(i)];
}

// What one token's loss Σ dH·H + dLSE·LSE depends on.
struct Token {
  DualArray p, c, o1;
  Scalar l1;
  Eigen::ArrayXd d_h;
  double d_lse, eps;

  Token(const Data& data, std::int64_t t)
      : p(data.row("P", t).cast<Scalar>()),
        c(data.c().cast<Scalar>()),
        o1(data.row("O1", t).cast<Scalar>()),
        l1(data.number("L1", t)),
        d_h(data.row("dH", t)),
        d_lse(data.number("dLSE", t)),
        eps(data.problem.real("eps")) {}

  // Its derivative by one of those numbers.
  double by(Scalar& x) const {
    x.partials[0] = 1;
    const auto token = attnres_merge_fwd_token<Scalar>(p, c, o1, l1, Scalar(eps));
    Scalar loss = Scalar(d_lse) * token.lse;
    for (std::int64_t d = 0; d < d_h.size(); ++d) loss += Scalar(d_h(d)) * token.output(d);
    x.partials[0] = 0;
    return loss.partials[0];
  }
  Eigen::ArrayXd by(DualArray& x) const {
    Eigen::ArrayXd result(x.size());
    for (std::int64_t d = 0; d < x.size(); ++d) result(d) = by(x(d));
    return result;
  }
};

void compare(const std::string& what, const Expected& got, std::int64_t first,
             const Eigen::ArrayXd& want, double tolerance) {
  double worst = 0;
  for (std::int64_t d = 0; d < want.size(); ++d) {
    const double error = std::abs(at(got, first + d) - want(d));
    worst = error <= worst ? worst : std::isnan(error) ? INFINITY : error;
  }
  INFO(what << " " << got.output << " from " << first);
  REQUIRE(worst <= tolerance);
}

}  // namespace

TEST_CASE("attnres_merge_bwd: by hand", "[attnres_merge_bwd]") {
  // D = 1, eps = 16: P = 3, r = 1/5, l = 3w/5 = 3 for w = 5; L1 = 3: β = 1/2. dH = 2, O1 = -1: z =
  // 8, s = 2; dLSE = 4: dl = 4. dP = 1 + 4 (1 - 3·3/25) = 1 + 64/25; X = 4·3/5.
  Data data(problem("dtype=f32 g=1 dlse=1 T=1 D=1 eps=16"));
  for (const auto& [name, value] : {std::pair{"P", 3.0f},
                                    {"w", 2.5f},
                                    {"g", 2.0f},
                                    {"O1", -1.0f},
                                    {"L1", 3.0f},
                                    {"dH", 2.0f},
                                    {"dLSE", 4.0f}})
    store_floats(data.inputs[name], {value});
  const auto expected = data.reference();
  REQUIRE(expected.size() == 5);
  const double want[] = {1 + 64.0 / 25, 1, 0, 2 * 2.4, 2.5 * 2.4};
  for (std::size_t i = 0; i < 5; ++i) {
    INFO(expected[i].output);
    CHECK(std::abs(at(expected[i], 0) - want[i]) < 1e-14);
  }
}

TEST_CASE("attnres_merge_bwd differentiates attnres_merge_fwd", "[attnres_merge_bwd]") {
  for (const std::string options : {"", "g=1 ", "dlse=1 ", "g=1 dlse=1 "}) {
    for (const char* shape : {"T=2 D=1", "T=3 D=5", "T=3 D=8", "T=2 D=17 eps=0.25"}) {
      Data data(problem("dtype=f32 " + options + shape));
      const std::int64_t dim = data.dim("D");
      for (const char* family : {"gaussian", "spread", "tiny", "sparse", "uneven", "aligned"}) {
        const auto expected = data.fill(family).reference();
        const std::string what = str(data.problem);
        Eigen::ArrayXd by_c = Eigen::ArrayXd::Zero(dim);
        double largest_c = 0;
        for (std::int64_t t = 0; t < data.dim("T"); ++t) {
          Token token(data, t);
          const Eigen::ArrayXd by_p = token.by(token.p), by_o1 = token.by(token.o1),
                               of_c = token.by(token.c);
          by_c += of_c;
          largest_c = std::max(largest_c, of_c.abs().maxCoeff());
          compare(what, expected[0], t * dim, by_p, 1e-11 * by_p.abs().maxCoeff());
          compare(what, expected[1], t * dim, by_o1, 1e-12 * by_o1.abs().maxCoeff());
          const double by_l1 = token.by(token.l1);
          const double gain = (token.d_h * (data.row("P", t) - data.row("O1", t))).abs().sum();
          compare(what, expected[2], t, Eigen::ArrayXd::Constant(1, by_l1),
                  1e-12 * (std::abs(by_l1) + gain));
        }
        // ∂/∂w = g ∂/∂c, ∂/∂g = w ∂/∂c.
        for (std::size_t output = 3; output < expected.size(); ++output) {
          const Eigen::ArrayXd weight = data.row(output == 3 ? "g" : "w");
          compare(what, expected[output], 0, by_c * weight,
                  1e-11 * largest_c * std::max(1.0, weight.abs().maxCoeff()));
        }
      }
    }
  }
}

TEST_CASE("attnres_merge_bwd's blocked loops compute its definition", "[attnres_merge_bwd]") {
  // Sizes around the loops' blocks of 256 and padding of 16, and more tokens than parts.
  for (const char* shape :
       {"T=2 D=1", "T=3 D=15", "T=2 D=17", "T=1 D=256", "T=2 D=300", "T=1 D=523", "T=150 D=20"}) {
    for (const char* dtypes : {"dtype=f32", "dtype=f16 o1=f32", "dtype=bf16 dh=f16 dp=f32"}) {
      Data data(problem(std::string("w=f32 g=1 dlse=1 accumulate=1 ") + dtypes + " " + shape));
      const auto expected = data.fill("gaussian").reference();
      const std::vector<float> given = data.values("dP");
      const std::int64_t dim = data.dim("D");
      const std::string what = str(data.problem);
      Eigen::ArrayXd x = Eigen::ArrayXd::Zero(dim);
      double largest = 0;
      for (std::int64_t t = 0; t < data.dim("T"); ++t) {
        auto exact = data.gradients(t);
        for (std::int64_t d = 0; d < dim; ++d)
          exact.p(d) += static_cast<double>(given[static_cast<std::size_t>(t * dim + d)]);
        x += exact.x;
        largest = std::max(largest, exact.x.abs().maxCoeff());
        compare(what, expected[0], t * dim, exact.p, 1e-12 * exact.p.abs().maxCoeff() + 1e-15);
        compare(what, expected[1], t * dim, exact.o1, 1e-13 * exact.o1.abs().maxCoeff());
        const double size = data.row("dH", t).abs().sum() * 4 + std::abs(exact.l1);
        compare(what, expected[2], t, Eigen::ArrayXd::Constant(1, exact.l1), 1e-13 * size);
      }
      compare(what, expected[3], 0, data.row("g") * x, 1e-11 * largest);
      compare(what, expected[4], 0, data.row("w") * x, 1e-11 * largest);
    }
  }
}

TEST_CASE("attnres_merge_bwd fulfils its identities", "[attnres_merge_bwd]") {
  for (const char* family : {"gaussian", "spread", "tiny", "near_ties", "zeros", "far"}) {
    Data data(problem("dtype=f32 g=1 dlse=1 T=9 D=40"));
    const auto expected = data.fill(family).reference();
    const double eps = data.problem.real("eps");
    for (std::int64_t t = 0; t < data.dim("T"); ++t) {
      const Eigen::ArrayXd p = data.row("P", t), d_h = data.row("dH", t);
      const auto forward = attnres_merge_fwd_token<double>(p, data.c(), data.row("O1", t),
                                                           data.number("L1", t), eps);
      const auto backward = data.gradients(t);
      const double gain = (d_h * (p - data.row("O1", t))).abs().sum();
      INFO(family << " t=" << t);
      // Logits move together: only LSE sees it.
      CHECK(std::abs(backward.score + at(expected[2], t) - data.number("dLSE", t)) <=
            1e-12 * (gain + std::abs(data.number("dLSE", t))));
      // dO1 + the part of dP that is no logit's is dH.
      double got = 0;
      for (std::int64_t d = 0; d < p.size(); ++d) {
        got += p(d) * at(expected[0], t * p.size() + d);
        CHECK(std::abs(at(expected[1], t * p.size() + d) - (1 - forward.beta) * d_h(d)) <=
              1e-14 * std::abs(d_h(d)));
      }
      // Euler: r P is of degree 0 in P but for eps, β P of degree 1.
      const double r2 = 1 / (p.square().mean() + eps);
      const double want =
          forward.beta * (p * d_h).sum() + eps * r2 * forward.logit * backward.score;
      const double size = (p * d_h).abs().sum() + std::abs(forward.logit * backward.score) + 1e-300;
      CHECK(std::abs(got - want) <= 1e-11 * size);
    }
    // w⊙dw = g⊙dg.
    const Eigen::ArrayXd w = data.row("w"), g = data.row("g");
    for (std::int64_t d = 0; d < w.size(); ++d) {
      const double a = w(d) * at(expected[3], d), b = g(d) * at(expected[4], d);
      CHECK(std::abs(a - b) <= 1e-14 * std::abs(a));
    }
  }
}

TEST_CASE("attnres_merge_bwd agrees with PyTorch in fp64", "[attnres_merge_bwd]") {
  std::ifstream file(ASSAY_SOURCE_DIR "/reference/fixtures/attnres_merge_bwd.txt");
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
      std::getline(words, word);
      data = std::make_unique<Data>(problem(word.substr(1)));
      expected.clear();
    } else if (!name.empty() && name != "#") {
      std::vector<double> values;
      while (words >> word) values.push_back(std::strtod(word.c_str(), nullptr));
      if (const TensorView* input = data->inputs.find(name)) {
        store_floats(*input, {values.begin(), values.end()});
        const auto stored = load_floats(*input);
        for (std::size_t i = 0; i < values.size(); ++i)  // as stored: nothing was rounded
          REQUIRE(static_cast<double>(stored[i]) == values[i]);
        continue;
      }
      if (expected.empty()) expected = data->reference();
      for (const Expected& got : expected) {
        if (got.output != name) continue;
        const Eigen::ArrayXd want = Eigen::Map<const Eigen::ArrayXd>(
            values.data(), static_cast<Eigen::Index>(values.size()));
        REQUIRE(got.size == want.size());
        compare(str(data->problem), got, 0, want, 1e-13 * want.abs().maxCoeff());
        ++compared;
      }
    }
  }
  CHECK(compared == 36);
}

TEST_CASE("attnres_merge_bwd: what is not a number stays in its token, and in all sums over tokens",
          "[attnres_merge_bwd]") {
  for (const double poison : {std::nan(""), std::numeric_limits<double>::infinity()}) {
    for (const char* tensor : {"P", "O1", "dH", "L1"}) {
      Data data(problem("dtype=f32 T=4 D=20"));
      const auto clean = data.fill("gaussian").reference();
      const bool is_row = std::string(tensor) != "L1", is_inf = std::isinf(poison);
      data.inputs[tensor].as<float>()[is_row ? 20 + 7 : 1] = static_cast<float>(poison);
      const auto expected = data.reference();
      INFO(tensor << " " << poison);
      for (std::size_t output = 0; output < 3; ++output) {
        const std::int64_t width = expected[output].size / 4;
        for (std::int64_t i = 0; i < expected[output].size; ++i) {
          if (i / width == 1) continue;
          REQUIRE(at(expected[output], i) == at(clean[output], i));
          REQUIRE(expected[output].bound[static_cast<std::size_t>(i)] ==
                  clean[output].bound[static_cast<std::size_t>(i)]);
        }
      }
      // An L1 of infinity is a weight of 0, and an infinite gradient stays one.
      if (is_inf && std::string(tensor) != "P") continue;
      const bool in_weights = std::string(tensor) == "P" || !is_row;
      for (std::int64_t d = 0; d < 20; ++d) {
        CHECK(std::isnan(at(expected[0], 20 + d)));
        CHECK(std::isnan(at(expected[1], 20 + d)) ==
              (in_weights || (std::string(tensor) == "dH" && d == 7)));
        CHECK(std::isnan(at(expected[3], d)));
      }
      CHECK(std::isnan(at(expected[2], 1)));
    }
  }
}

TEST_CASE("attnres_merge_bwd: gradients that must vanish do", "[attnres_merge_bwd]") {
  // P = O1, without dLSE: the weights do not matter, to the bit.
  Data data(problem("dtype=bf16 T=3 D=33"));
  const auto expected = data.fill("identical").reference();
  for (std::int64_t t = 0; t < 3; ++t) CHECK(at(expected[2], t) == 0);
  for (std::int64_t d = 0; d < 33; ++d) CHECK(at(expected[3], d) == 0);
}

TEST_CASE("attnres_merge_bwd's cost is each tensor once", "[attnres_merge_bwd]") {
  const auto cost = [](const std::string& text) {
    const Problem of = problem("dtype=bf16 T=16 D=100 " + text);
    return op_of(of).cost(of);
  };
  constexpr double kRows = 2 * 16 * 100;
  CHECK(cost("").bytes_read == 3 * kRows + 2 * 100 + 4 * 16);
  CHECK(cost("").bytes_written == 2 * kRows + 4 * 16 + 4 * 100);
  CHECK(cost("g=1 dlse=1 accumulate=1").bytes_read == 4 * kRows + 2 * 200 + 2 * 4 * 16);
  CHECK(cost("g=1 dlse=1 accumulate=1").bytes_written == 2 * kRows + 4 * 16 + 2 * 4 * 100);
}

TEST_CASE("attnres_merge_bwd's sensitivities are derivatives", "[attnres_merge_bwd]") {
  Data data(problem("dtype=f32 g=1 dlse=1 T=3 D=12 eps=0.5"));
  data.fill("gaussian");
  const auto all = data.op.sensitivities(data.problem, data.inputs, {.summation_height = 8});
  constexpr double kStep = 1e-5;
  const auto moved = [&](const std::string& name, double factor, std::int64_t t) {
    AttnResMergeFactors<double> factors;
    if (name == "scale of the logit") factors.logit = factor;
    if (name == "eps") factors.eps = factor;
    if (name == "L1") factors.other = factor;
    if (name == "gain") factors.gain = factor;
    if (name == "projection term") factors.projection = factor;
    auto of = data.gradients(t, factors);
    if (name == "scale") of.p *= factor, of.o1 *= factor, of.x *= factor, of.l1 *= factor;
    return of;
  };
  int found = 0;
  for (const Sensitivity& sensitivity : all) {
    INFO(sensitivity.name << " of " << sensitivity.output);
    CHECK((sensitivity.allowance > 0 && sensitivity.allowance < 1e-3));
    Eigen::ArrayXd x = Eigen::ArrayXd::Zero(12),
                   want(static_cast<Eigen::Index>(sensitivity.value.size()));
    for (std::int64_t t = 0; t < 3; ++t) {
      const auto up = moved(sensitivity.name, 1 + kStep, t),
                 down = moved(sensitivity.name, 1 - kStep, t);
      x += (up.x - down.x) / (2 * kStep);
      if (sensitivity.output == "dP") want.segment(12 * t, 12) = (up.p - down.p) / (2 * kStep);
      if (sensitivity.output == "dO1") want.segment(12 * t, 12) = (up.o1 - down.o1) / (2 * kStep);
      if (sensitivity.output == "dL1") want(t) = (up.l1 - down.l1) / (2 * kStep);
    }
    if (sensitivity.output == "dw") want = x * data.row("g");
    if (sensitivity.output == "dg") want = x * data.row("w");
    double worst = 0;
    for (Eigen::Index i = 0; i < want.size(); ++i)
      worst = std::max(worst, std::abs(sensitivity.value[static_cast<std::size_t>(i)] - want(i)));
    CHECK(worst < 1e-7 * want.abs().maxCoeff());
    ++found;
  }
  // dO1 knows neither gain nor projection, dL1, dw and dg no projection.
  CHECK(found == 6 + 4 + 5 + 5 + 5);
}

}  // namespace assay
