// The reference of attnres_bwd: against the derivative of the forward's definition, against its own
// definition in Eigen, against PyTorch, and against identities that its outputs must fulfil.
// attnres_bwd_bound_test.cc judges the bounds.
#include "reference/attnres_bwd.h"

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <memory>
#include <sstream>

#include "harness/engine/suite.h"
#include "harness/testing.h"
#include "reference/attnres_bwd_testing.h"
#include "reference/dual.h"

namespace assay {
namespace {

using attnres_bwd_testing::Data;

// "dtype=bf16 g=1 N=3 T=5 D=8"
Problem problem(const std::string& text) { return parse_problem("attnres_bwd " + text); }

using Scalar = Dual<1>;

double& at(const Expected& expected, std::int64_t i) {
  return expected.value[static_cast<std::size_t>(i)];
}

// Σ dO·O + Σ dLSE·LSE of one token.
Scalar loss(const RowMatrix<Scalar>& v, const RowMatrix<Scalar>& c,
            const RowMatrix<double>& d_output, const RowMatrix<double>& d_lse, double eps) {
  const auto token = attnres_fwd_token<Scalar>(v, c, Scalar(eps));
  Scalar total = 0;
  for (std::int64_t q = 0; q < c.rows(); ++q) {
    for (std::int64_t d = 0; d < c.cols(); ++d) total += d_output(q, d) * token.output(q, d);
    total += d_lse(q, 0) * token.lse(q);
  }
  return total;
}

// Its derivative by every element of `by`, one of v and c.
RowMatrix<double> derivative(RowMatrix<Scalar>& by, const RowMatrix<Scalar>& v,
                             const RowMatrix<Scalar>& c, const RowMatrix<double>& d_output,
                             const RowMatrix<double>& d_lse, double eps) {
  RowMatrix<double> result(by.rows(), by.cols());
  for (std::int64_t i = 0; i < by.size(); ++i) {
    by.data()[i].partials[0] = 1;
    result.data()[i] = loss(v, c, d_output, d_lse, eps).partials[0];
    by.data()[i].partials[0] = 0;
  }
  return result;
}

}  // namespace

TEST_CASE("dual numbers differentiate", "[attnres_bwd]") {
  const auto x = Dual<2>::variable(3, 0), y = Dual<2>::variable(2, 1);
  const auto f = sqrt(x * x + y) / exp(y) - log(x);
  CHECK(f.value == std::sqrt(11.0) / std::exp(2.0) - std::log(3.0));
  CHECK(std::abs(f.partials[0] - (3 / std::sqrt(11.0) / std::exp(2.0) - 1.0 / 3)) < 1e-15);
  CHECK(std::abs(f.partials[1] - (0.5 / std::sqrt(11.0) - std::sqrt(11.0)) / std::exp(2.0)) <
        1e-15);
}

TEST_CASE("attnres_bwd differentiates attnres_fwd", "[attnres_bwd]") {
  const char* const shapes[] = {"N=1 Q=1 T=2 D=1", "N=3 Q=2 T=2 D=5", "N=2 Q=1 T=3 D=8",
                                "N=6 Q=3 T=1 D=17 eps=0.25"};
  for (const std::string options : {"", "g=1 ", "dlse=1 ", "g=1 dlse=1 "}) {
    for (const char* shape : shapes) {
      Data data(problem("dtype=f32 " + options + shape));
      for (const char* family : {"gaussian", "spread", "tiny", "sparse"}) {
        const auto expected = data.fill(family).reference();
        const double eps = data.problem.real("eps");
        RowMatrix<double> by_c = RowMatrix<double>::Zero(data.dim("Q"), data.dim("D"));
        for (std::int64_t t = 0; t < data.dim("T"); ++t) {
          RowMatrix<Scalar> v = data.token("V", t).cast<Scalar>(), c = data.c().cast<Scalar>();
          const auto d_output = data.token("dO", t), d_lse = data.token("dLSE", t);
          const RowMatrix<double> by_v = derivative(v, v, c, d_output, d_lse, eps);
          by_c += derivative(c, v, c, d_output, d_lse, eps);
          const double largest = by_v.cwiseAbs().maxCoeff();
          for (std::int64_t n = 0; n < data.dim("N"); ++n) {
            for (std::int64_t d = 0; d < data.dim("D"); ++d) {
              INFO(str(data.problem) << " dV[" << n << "," << t << "," << d << "]");
              const double got = at(expected[0], (n * data.dim("T") + t) * data.dim("D") + d);
              REQUIRE(std::abs(got - by_v(n, d)) <= 1e-11 * largest);
            }
          }
        }
        // ∂/∂w = g ∂/∂c, ∂/∂g = w ∂/∂c.
        for (std::size_t output = 1; output < expected.size(); ++output) {
          const RowMatrix<double> want = by_c.cwiseProduct(data.weights(output == 1 ? "g" : "w"));
          for (std::int64_t i = 0; i < want.size(); ++i) {
            INFO(str(data.problem) << " " << expected[output].output << "[" << i << "]");
            REQUIRE(std::abs(at(expected[output], i) - want.data()[i]) <=
                    1e-11 * by_c.cwiseAbs().maxCoeff() *
                        std::max(1.0, data.weights(output == 1 ? "g" : "w").cwiseAbs().maxCoeff()));
          }
        }
      }
    }
  }
}

TEST_CASE("attnres_bwd's blocked loops compute its definition", "[attnres_bwd]") {
  // Sizes around the loops' blocks of 256 and padding of 16, and more tokens than parts.
  for (const char* shape :
       {"N=3 Q=2 T=2 D=1", "N=2 Q=1 T=3 D=15", "N=9 Q=2 T=2 D=17", "N=5 Q=3 T=1 D=256",
        "N=4 Q=1 T=2 D=300", "N=40 Q=2 T=1 D=523", "N=2 Q=1 T=150 D=20"}) {
    for (const char* dtype : {"f32", "f16", "bf16"}) {
      Data data(problem(std::string("w=f32 g=1 dlse=1 accumulate=1 dtype=") + dtype + " " + shape));
      const auto expected = data.fill("gaussian").reference();
      const auto given = data.values("dV");
      RowMatrix<double> x = RowMatrix<double>::Zero(data.dim("Q"), data.dim("D"));
      double largest = 0;
      for (std::int64_t t = 0; t < data.dim("T"); ++t) {
        const auto exact = data.gradients(t);
        x += exact.x;
        largest = std::max(largest, exact.x.cwiseAbs().maxCoeff());
        for (std::int64_t n = 0; n < data.dim("N"); ++n) {
          for (std::int64_t d = 0; d < data.dim("D"); ++d) {
            const std::int64_t i = (n * data.dim("T") + t) * data.dim("D") + d;
            INFO(str(data.problem) << " dV[" << n << "," << t << "," << d << "]");
            REQUIRE(std::abs(at(expected[0], i) - exact.values(n, d) -
                             static_cast<double>(given[static_cast<std::size_t>(i)])) <=
                    1e-12 * exact.values.cwiseAbs().maxCoeff() + 1e-15);
          }
        }
      }
      for (std::int64_t i = 0; i < x.size(); ++i) {
        REQUIRE(std::abs(at(expected[1], i) - data.weights("g").data()[i] * x.data()[i]) <=
                1e-11 * largest);
        REQUIRE(std::abs(at(expected[2], i) - data.weights("w").data()[i] * x.data()[i]) <=
                1e-11 * largest);
      }
    }
  }
}

TEST_CASE("attnres_bwd fulfils its identities", "[attnres_bwd]") {
  for (const char* family : {"gaussian", "spread", "tiny", "near_ties", "zeros"}) {
    Data data(problem("dtype=f32 g=1 dlse=1 N=5 Q=3 T=4 D=40"));
    const auto expected = data.fill(family).reference();
    const double eps = data.problem.real("eps");
    for (std::int64_t t = 0; t < data.dim("T"); ++t) {
      const RowMatrix<double> v = data.token("V", t), d_output = data.token("dO", t),
                              d_lse = data.token("dLSE", t);
      const auto forward = attnres_fwd_token<double>(v, data.c(), eps);
      const auto backward = data.gradients(t);
      INFO(family << " t=" << t);
      // Logits move together: only LSE sees it.
      for (std::int64_t q = 0; q < data.dim("Q"); ++q)
        CHECK(std::abs(backward.scores.row(q).sum() - d_lse(q, 0)) <=
              1e-12 * backward.scores.row(q).cwiseAbs().sum());
      // Euler: r v is of degree 0 in v but for eps, O of degree 1.
      for (std::int64_t n = 0; n < data.dim("N"); ++n) {
        const double r2 = 1 / (v.row(n).squaredNorm() / static_cast<double>(data.dim("D")) + eps);
        double want = 0, got = 0, size = 1e-300;
        for (std::int64_t q = 0; q < data.dim("Q"); ++q) {
          const double l = std::sqrt(r2) * v.row(n).dot(data.c().row(q));
          const double mixed = forward.weights(q, n) * v.row(n).dot(d_output.row(q));
          want += mixed + eps * r2 * l * backward.scores(q, n);
          size += std::abs(mixed) + std::abs(l * backward.scores(q, n));
        }
        for (std::int64_t d = 0; d < data.dim("D"); ++d)
          got += v(n, d) * at(expected[0], (n * data.dim("T") + t) * data.dim("D") + d);
        CHECK(std::abs(got - want) <= 1e-11 * size);
      }
    }
    // w⊙dw = g⊙dg.
    for (std::int64_t i = 0; i < expected[1].size; ++i) {
      const double a = data.weights("w").data()[i] * at(expected[1], i),
                   b = data.weights("g").data()[i] * at(expected[2], i);
      CHECK(std::abs(a - b) <= 1e-14 * std::abs(a));
    }
  }
}

TEST_CASE("attnres_bwd agrees with PyTorch in fp64", "[attnres_bwd]") {
  std::ifstream file(ASSAY_SOURCE_DIR "/reference/fixtures/attnres_bwd.txt");
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
      if (const TensorView* input = data->inputs.find(name); input && name != "dV") {
        store_floats(*input, {values.begin(), values.end()});
        const auto stored = load_floats(*input);
        for (std::size_t i = 0; i < values.size(); ++i)  // as stored: nothing was rounded
          REQUIRE(static_cast<double>(stored[i]) == values[i]);
        continue;
      }
      if (expected.empty()) expected = data->reference();
      const Expected& got = expected[name == "dV" ? 0 : name == "dw" ? 1 : 2];
      REQUIRE(got.size == static_cast<std::int64_t>(values.size()));
      double largest = 0;
      for (const double value : values) largest = std::max(largest, std::abs(value));
      for (std::size_t i = 0; i < values.size(); ++i) {
        INFO(str(data->problem) << " " << name << "[" << i << "]");
        REQUIRE(std::abs(got.value[i] - values[i]) <= 1e-13 * largest);
      }
      ++compared;
    }
  }
  CHECK(compared == 20);
}

TEST_CASE("attnres_bwd: what is not a number stays in its token, and in all sums over tokens",
          "[attnres_bwd]") {
  for (const double poison : {std::nan(""), std::numeric_limits<double>::infinity()}) {
    for (const char* tensor : {"V", "dO"}) {
      Data data(problem("dtype=f32 N=3 Q=1 T=4 D=20"));
      const auto clean = data.fill("gaussian").reference();
      // Of token 1: of the first source, or of the only query.
      data.inputs[tensor].as<float>()[20 + 7] = static_cast<float>(poison);
      const auto expected = data.reference();
      for (std::int64_t i = 0; i < expected[0].size; ++i) {
        if (i / 20 % 4 == 1) continue;
        REQUIRE(at(expected[0], i) == at(clean[0], i));
        REQUIRE(expected[0].bound[static_cast<std::size_t>(i)] ==
                clean[0].bound[static_cast<std::size_t>(i)]);
      }
      for (std::int64_t i = 20; i < 40 && *tensor == 'V'; ++i)
        CHECK(std::isnan(at(expected[0], i)));
      for (std::int64_t i = 0; i < 20; ++i) CHECK(std::isnan(at(expected[1], i)));
    }
  }
}

TEST_CASE("attnres_bwd: scores that must cancel do", "[attnres_bwd]") {
  // One source, or sources that are all the same, without dLSE: ds is 0 to the bit.
  for (const char* text : {"dtype=bf16 N=1 T=3 D=33", "dtype=f32 N=6 T=3 D=33"}) {
    Data data(problem(text));
    const auto expected = data.fill("identical").reference();
    for (std::int64_t i = 0; i < 33; ++i) CHECK(at(expected[1], i) == 0);
  }
}

TEST_CASE("attnres_bwd's cost is each tensor once", "[attnres_bwd]") {
  const auto cost = [](const std::string& text) {
    return Data::op().cost(problem("dtype=bf16 N=9 Q=2 T=16 D=100 " + text));
  };
  const double v = 2 * 9 * 16 * 100, d_output = 2 * 2 * 16 * 100;
  CHECK(cost("").bytes_read == v + d_output + 2 * 200);
  CHECK(cost("").bytes_written == v + 4 * 200);
  CHECK(cost("g=1 dlse=1 accumulate=1").bytes_read == 2 * v + d_output + 2 * 400 + 4 * 32);
  CHECK(cost("g=1 dlse=1 accumulate=1").bytes_written == v + 2 * 4 * 200);
  CHECK(cost("").flops == 9 * 16 * 100 * (4 + 10 * 2));
}

TEST_CASE("attnres_bwd's sparse cotangents are at ends and edges", "[attnres_bwd]") {
  Data data(problem("dtype=bf16 dlse=1 N=1 Q=2 T=1000 D=4"));
  data.fill("sparse", 3);
  const auto d_output = data.values("dO"), d_lse = data.values("dLSE");
  int count = 0;
  for (std::size_t t = 0; t < 1000; ++t) {
    const bool there = d_output[4 * t] != 0;
    count += there;
    for (std::size_t q = 0; q < 2; ++q) {
      CHECK((d_output[(1000 * q + t) * 4 + 3] != 0) == there);
      CHECK((d_lse[1000 * q + t] != 0) == there);
    }
    // The last tiles of 16, 32, 64, 128 and 256 begin at 992, 992, 960, 896 and 768.
    for (const std::size_t edge : {0u, 767u, 768u, 769u, 896u, 960u, 991u, 992u, 999u})
      if (t == edge) CHECK(there);
  }
  CHECK((count > 10 && count < 40));
}

TEST_CASE("attnres_bwd's sensitivities are derivatives", "[attnres_bwd]") {
  Data data(problem("dtype=f32 g=1 dlse=1 N=4 Q=2 T=3 D=12 eps=0.5"));
  data.fill("gaussian");
  const auto all = Data::op().sensitivities(data.problem, data.inputs, {.summation_height = 8});
  constexpr double kStep = 1e-5;
  const auto moved = [&](const std::string& name, double factor, std::int64_t t) {
    AttnResFactors<double> factors;
    if (name == "scale of the logits") factors.logits = factor;
    if (name == "eps") factors.eps = factor;
    if (name == "delta") factors.delta = factor;
    if (name == "projection term") factors.projection = factor;
    auto result = attnres_bwd_token<double>(data.token("V", t), data.c(), data.token("dO", t),
                                            data.token("dLSE", t).col(0).array(), 0.5, factors);
    if (name == "scale") result.values *= factor, result.x *= factor;
    return result;
  };
  int found = 0;
  for (const Sensitivity& sensitivity : all) {
    INFO(sensitivity.name << " of " << sensitivity.output);
    CHECK((sensitivity.allowance > 0 && sensitivity.allowance < 1e-3));
    RowMatrix<double> x = RowMatrix<double>::Zero(2, 12);
    double worst = 0, largest = 0;
    for (std::int64_t t = 0; t < 3; ++t) {
      const auto up = moved(sensitivity.name, 1 + kStep, t),
                 down = moved(sensitivity.name, 1 - kStep, t);
      x += (up.x - down.x) / (2 * kStep);
      if (sensitivity.output != "dV") continue;
      for (std::int64_t i = 0; i < up.values.size(); ++i) {
        const double want = (up.values.data()[i] - down.values.data()[i]) / (2 * kStep);
        const auto place = static_cast<std::size_t>((i / 12 * 3 + t) * 12 + i % 12);
        worst = std::max(worst, std::abs(sensitivity.value[place] - want));
        largest = std::max(largest, std::abs(want));
      }
    }
    if (sensitivity.output != "dV") {
      x = x.cwiseProduct(data.weights(sensitivity.output == "dw" ? "g" : "w"));
      for (std::int64_t i = 0; i < x.size(); ++i)
        worst =
            std::max(worst, std::abs(sensitivity.value[static_cast<std::size_t>(i)] - x.data()[i]));
      largest = x.cwiseAbs().maxCoeff();
    }
    CHECK(worst < 1e-7 * largest);
    ++found;
  }
  CHECK(found == 5 + 4 + 4);  // the projection term is not in dw and dg
}

}  // namespace assay
