// The bounds of attnres_bwd: fp32 kernels that take the formulas in several forms and orders stay
// inside them with room to spare, slightly wrong ones do not.
#include <algorithm>
#include <cmath>
#include <map>

#include "harness/engine/bias.h"
#include "harness/engine/interval.h"
#include "harness/engine/suite.h"
#include "harness/testing.h"
#include "reference/attnres_bwd_emulated.h"

namespace assay {
namespace {

using attnres_bwd_testing::Bug;
using attnres_bwd_testing::Data;
using attnres_bwd_testing::declared;
using attnres_bwd_testing::Floats;
using attnres_bwd_testing::Kernel;
using attnres_bwd_testing::Run;

// "dtype=bf16 g=1 N=3 T=5 D=8"
Problem problem(const std::string& text) { return parse_problem("attnres_bwd " + text); }

double utilisation(const Floats& got, const Expected& expected) {
  REQUIRE(static_cast<std::int64_t>(got.size()) == expected.size);
  double worst = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    if (std::isnan(got[i]) && std::isnan(expected.value[i])) continue;
    const double u = std::abs(got[i] - expected.value[i]) / expected.bound[i];
    worst = u <= worst ? worst : std::isnan(u) ? INFINITY : u;
  }
  return worst;
}

// Largest over all outputs.
double worst_of(const Data& data, const Kernel& kernel, const Numerics& numerics) {
  const auto expected = data.reference(numerics);
  const Run run(data, kernel);
  double worst = 0;
  for (std::size_t i = 0; i < expected.size(); ++i)
    worst = std::max(worst, utilisation(run.result.outputs[i], expected[i]));
  return worst;
}

}  // namespace

TEST_CASE("correct fp32 kernels stay well inside the bounds of attnres_bwd", "[attnres_bwd]") {
  const Kernel kernels[] = {
      {},
      {.lanes = 1, .delta_of_mix = true},
      {.by_lse = true, .terms_apart = true, .parts = 4},
      {.delta_of_mix = true, .terms_apart = true, .parts = 3, .backwards = true}};
  double worst = 0;
  for (const char* text :
       {"N=1 Q=2 T=3 D=5 dlse=1", "N=2 T=1 D=1", "N=2 Q=3 T=5 D=33 g=1 dlse=1 accumulate=1",
        "N=9 Q=2 T=5 D=130 g=1", "N=33 T=3 D=70 dlse=1", "N=4 T=4 D=2304", "N=3 Q=2 T=64 D=24 g=1",
        "N=5 Q=2 T=8 D=64 g=1 dlse=1 eps=0"}) {
    for (const char* dtype : {"f32", "f16", "bf16"}) {
      Data data(problem(std::string("dtype=") + dtype + " " + text));
      for (const Family& family : Data::op().families) {
        if (!data.applies(family)) continue;
        data.fill(family.name);
        for (const Kernel& kernel : kernels) {
          INFO(str(data.problem) << " lanes " << kernel.lanes << " parts " << kernel.parts);
          const double used = worst_of(data, kernel, declared(data, kernel));
          CHECK(used < 0.7);
          worst = std::max(worst, used);
        }
      }
    }
  }
  CAPTURE(worst);
  CHECK(worst > 0.05);  // far looser bounds would be of no use
}

TEST_CASE("the statistical bound of dw holds for many tokens, whatever the order",
          "[attnres_bwd]") {
  // Also of tokens of which a few outweigh all others (spread: 60 octaves).
  double worst = 0;
  for (const char* family : {"gaussian", "spread", "near_ties", "identical", "zeros"}) {
    Data data(problem("dtype=bf16 N=3 Q=2 T=4000 D=24 g=1 dlse=1"));
    data.fill(family);
    for (const Kernel& kernel : {Kernel{}, Kernel{.terms_apart = true, .parts = 128},
                                 Kernel{.lanes = 1, .backwards = true}}) {
      const auto expected = data.reference(declared(data, kernel));
      const Run run(data, kernel);
      for (std::size_t i = 1; i < 3; ++i) {
        const double used = utilisation(run.result.outputs[i], expected[i]);
        INFO(family << " parts " << kernel.parts);
        CHECK(used < 0.3);
        worst = std::max(worst, used);
      }
      // Far below the sum that holds for any inputs.
      Data other(problem("dtype=bf16 N=3 Q=2 T=4000 D=24 g=1 dlse=1"));
      other.fill(family);
      other.problem.family.clear();
      const auto rigorous = other.reference(declared(data, kernel));
      for (std::size_t i = 0; i < 48; ++i) CHECK(expected[1].bound[i] <= rigorous[1].bound[i]);
      if (family == std::string("gaussian"))
        CHECK(expected[1].bound[0] < 0.2 * rigorous[1].bound[0]);
    }
  }
  CAPTURE(worst);
  CHECK(worst > 0.001);
}

TEST_CASE("errors of single tokens lie far below what the statistical bound of dw takes for them",
          "[attnres_bwd]") {
  // One token, many roundings: 6 b̃ is less than b, hence the bound, and e < b̃ / 10 is 1/60 of it.
  double worst = 0;
  for (const char* text : {"N=3 T=1 D=2000", "N=9 Q=2 T=1 D=2304 dlse=1", "N=33 T=1 D=7168"}) {
    Data data(problem(std::string("dtype=f32 ") + text));
    for (const Kernel& kernel :
         {Kernel{.lanes = 4}, Kernel{.lanes = 4, .delta_of_mix = true, .by_lse = true}}) {
      for (const std::uint64_t seed : {1, 2, 3}) {
        data.fill("gaussian", seed);
        const Numerics numerics = declared(data, kernel);
        const Run run(data, kernel);
        const std::size_t dw = 1;
        const auto expected = data.reference(numerics);
        const double used = utilisation(run.result.outputs[dw], expected[dw]);
        INFO(str(data.problem) << " seed " << seed);
        CHECK(used < 1.0 / 60);
        worst = std::max(worst, used);
        data.problem.family.clear();  // the rigorous bound alone
        CHECK(expected[dw].bound[0] < 0.7 * data.reference(numerics)[dw].bound[0]);
      }
    }
  }
  CAPTURE(worst);
  CHECK(worst > 1e-4);
}

TEST_CASE("exact families of attnres_bwd are exact in fp32", "[attnres_bwd]") {
  for (const char* text : {"N=1 T=5 D=2 dlse=1", "N=2 Q=3 T=9 D=8 g=1 dlse=1",
                           "N=9 Q=6 T=37 D=256 g=1 dlse=1 accumulate=1", "N=5 Q=2 T=300 D=64"}) {
    for (const char* dtype : {"f32", "f16", "bf16"}) {
      Data data(problem(std::string("eps=0 dtype=") + dtype + " " + text));
      data.fill("exact");
      for (const Kernel& kernel :
           {Kernel{}, Kernel{.lanes = 1, .delta_of_mix = true, .parts = 3, .backwards = true},
            Kernel{.terms_apart = true,
                   .numerics = {.probabilities = DType::bf16, .weights = DType::bf16}}}) {
        const auto expected = data.reference();
        const Run run(data, kernel);
        double largest = 0;
        for (std::size_t i = 0; i < expected.size(); ++i) {
          for (std::size_t e = 0; e < run.result.outputs[i].size(); ++e) {
            INFO(str(data.problem) << " " << expected[i].output << "[" << e << "]");
            REQUIRE(run.result.outputs[i][e] == static_cast<float>(expected[i].value[e]));
            if (i == 1) largest = std::max(largest, std::abs(expected[i].value[e]));
          }
        }
        if (data.dim("N") > 1) CHECK(largest > 1);
      }
    }
  }
}

TEST_CASE("roundings to 16 bits stay inside the bound of attnres_bwd that declares them",
          "[attnres_bwd]") {
  const DType dtype = GENERATE(DType::f16, DType::bf16);
  const std::pair<const char*, Kernel> kernels[] = {
      {"probabilities", {.numerics = {.probabilities = dtype}}},
      {"weights", {.numerics = {.weights = dtype}}},
      {"partials", {.parts = 4, .numerics = {.partials = dtype}}},
      {"all",
       {.terms_apart = true,
        .parts = 2,
        .numerics = {.probabilities = dtype, .weights = dtype, .partials = dtype}}}};
  for (const auto& [what, kernel] : kernels) {
    double undeclared = 0;
    for (const char* text : {"N=2 T=5 D=33", "N=9 Q=2 T=5 D=130 g=1 dlse=1", "N=17 T=40 D=20"}) {
      Data data(problem(std::string("dtype=f32 ") + text));
      for (const Family& family : Data::op().families) {
        // Coefficients beyond 65504, such as ds r where r is 1000, can't be f16.
        const bool large = family.name == "dtype_edge" || family.name == "spread" ||
                           family.name == "tiny" || family.name == "zeros";
        if (!data.applies(family) || (dtype == DType::f16 && large)) continue;
        data.fill(family.name);
        INFO(what << " " << name(dtype) << " " << str(data.problem));
        CHECK(worst_of(data, kernel, declared(data, kernel)) < 1);
        Numerics silent = declared(data, kernel);
        silent.probabilities = silent.weights = silent.partials = DType::f32;
        if (family.name != "nan") undeclared = std::max(undeclared, worst_of(data, kernel, silent));
      }
    }
    CHECK(undeclared > 1);
  }
}

TEST_CASE("wrong kernels leave the bounds of attnres_bwd", "[attnres_bwd]") {
  struct Wrong {
    Bug bug;
    bool in_values, in_weights, in_gains;  // outputs that must show it
  };
  const Wrong wrong = GENERATE(
      Wrong{Bug::no_norm, true, true, true}, Wrong{Bug::drops_last, true, true, true},
      Wrong{Bug::rstd_for_cube, true, false, false},
      Wrong{Bug::projection_sign, true, false, false},
      Wrong{Bug::no_projection, true, false, false}, Wrong{Bug::gain_squared, false, true, false},
      Wrong{Bug::drops_tail, false, true, true}, Wrong{Bug::no_delta, true, true, true},
      Wrong{Bug::no_d_lse, true, true, true}, Wrong{Bug::no_given, true, false, false},
      Wrong{Bug::no_eps, true, true, true}, Wrong{Bug::wrong_scale, true, true, true},
      Wrong{Bug::wrong_dw, false, true, false});
  for (const std::string dtype : {"f32", "f16", "bf16"}) {
    for (const char* size : {"N=5 Q=2 T=37 D=72", "N=9 T=20 D=1000", "N=2 Q=3 T=300 D=123"}) {
      Data data(problem("g=1 dlse=1 accumulate=1 dtype=" + dtype + " " + size));
      const Kernel kernel{.parts = 4, .bug = wrong.bug};
      bool seen[3] = {};
      std::string families;
      for (const char* family : {"gaussian", "spread", "tiny", "sparse"}) {
        const auto expected = data.fill(family).reference(declared(data, kernel));
        const Run run(data, kernel);
        for (std::size_t i = 0; i < 3; ++i) {
          // Rounded to the output's dtype, as the harness sees it.
          const TensorSpec spec = tensor_specs(Data::op(), data.problem)[5 + i];
          std::vector<std::byte> stored(static_cast<std::size_t>(spec.bytes()));
          store_floats({spec, stored.data()}, run.result.outputs[i]);
          const bool left = judge(spec, stored.data(), expected[i]).wrong > 0;
          seen[i] = seen[i] || left;
          if (left) families += std::string(" ") + family + ":" + spec.name;
        }
      }
      INFO("bug " << static_cast<int>(wrong.bug) << " " << str(data.problem) << " left in"
                  << families);
      CHECK(seen[0] == wrong.in_values);
      CHECK(seen[1] == wrong.in_weights);
      CHECK(seen[2] == wrong.in_gains);
      // However many tokens there are, sparse cotangents show one that is dropped.
      if (wrong.bug == Bug::drops_tail) CHECK(families.find("sparse:dw") != std::string::npos);
    }
  }
}

TEST_CASE("the bias test finds what the bounds of attnres_bwd allow", "[attnres_bwd]") {
  // With few lanes for a long D the bounds are wide: dw that is 0.1 % too large is within them.
  const auto slopes = [](Bug bug) {
    BiasTest test;
    for (const std::uint64_t seed : {1, 2}) {
      Data data(problem("dtype=f32 N=3 Q=1 T=400 D=2000"));
      data.fill("gaussian", seed);
      const Kernel kernel{.lanes = 4, .parts = 8, .bug = bug};
      const Numerics numerics = declared(data, kernel);
      const auto expected = data.reference(numerics);
      const auto sensitivities = Data::op().sensitivities(data.problem, data.inputs, numerics);
      const Run run(data, kernel);
      for (const Sensitivity& sensitivity : sensitivities) {
        if (sensitivity.output != "dw") continue;
        CHECK(utilisation(run.result.outputs[1], expected[1]) < 1);
        const TensorSpec spec = tensor_specs(Data::op(), data.problem)[4];
        REQUIRE(spec.name == "dw");
        test.add(spec, run.result.outputs[1].data(), expected[1], sensitivity, -1);
      }
    }
    std::map<std::string, Slope> result;
    for (const Slope& slope : test.slopes()) result[slope.sensitivity] = slope;
    return result;
  };
  for (const auto& [name, slope] : slopes(Bug::none)) {
    INFO(name << " " << slope.estimate << " ± " << slope.standard_error << " allowed "
              << slope.allowance);
    CHECK(!slope.biased());
  }
  const Slope scale = slopes(Bug::slightly_wrong_dw)["scale"];
  INFO(scale.estimate << " ± " << scale.standard_error << " allowed " << scale.allowance);
  CHECK(scale.biased());
}

TEST_CASE("zeros pass for hardly any output of attnres_bwd", "[attnres_bwd]") {
  const auto share = [](Data& data, const std::vector<std::string>& families, std::size_t output) {
    std::int64_t accepted = 0, nonzero = 0;
    for (const std::string& family : families) {
      const auto expected = data.fill(family).reference(
          {.summation_height = height(data.dim("D"), 16), .batch_height = 256});
      const TensorSpec spec =
          tensor_specs(Data::op(), data.problem)[(data.inputs.find("g") ? 5 : 4) + output -
                                                 (data.inputs.find("dLSE") ? 0 : 1)];
      REQUIRE(spec.name == expected[output].output);
      const std::vector<unsigned char> zeros(static_cast<std::size_t>(spec.bytes()));
      const Judgement judgement = judge(spec, zeros.data(), expected[output]);
      accepted += judgement.zero_accepted;
      nonzero += judgement.nonzero;
    }
    return static_cast<double>(accepted) / static_cast<double>(nonzero);
  };
  for (const std::string dtype : {"f32", "f16", "bf16"}) {
    Data data(problem("g=1 dlse=1 N=5 Q=2 T=37 D=72 dtype=" + dtype));
    std::vector<std::string> all;
    for (const Family& family : Data::op().families)
      if (data.applies(family)) all.push_back(family.name);
    for (std::size_t output = 0; output < 3; ++output) {
      CAPTURE(dtype, output);
      CHECK(share(data, all, output) < 0.01);
    }
  }
  Data large(problem("N=5 Q=2 T=8192 D=72 dtype=bf16"));
  CHECK(share(large, {"gaussian"}, 1) < 0.01);
}

}  // namespace assay
