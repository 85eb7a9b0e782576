// The bounds of attnres_merge_bwd: fp32 kernels that take the formulas in several forms and orders
// stay inside them with room to spare, slightly wrong ones do not.
#include <algorithm>
#include <cmath>
#include <map>

#include "harness/engine/bias.h"
#include "harness/engine/interval.h"
#include "harness/engine/suite.h"
#include "harness/testing.h"
#include "reference/attnres_merge_bwd_emulated.h"

namespace assay {
namespace {

using attnres_merge_bwd_testing::Bug;
using attnres_merge_bwd_testing::Data;
using attnres_merge_bwd_testing::declared;
using attnres_merge_bwd_testing::Floats;
using attnres_merge_bwd_testing::Gain;
using attnres_merge_bwd_testing::Kernel;
using attnres_merge_bwd_testing::Run;
using attnres_merge_bwd_testing::Weights;

// "dtype=bf16 g=1 T=5 D=8"
Problem problem(const std::string& text) { return parse_problem("attnres_merge_bwd " + text); }

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
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double used = utilisation(run.outputs[i], expected[i]);
    if (used >= 0.7) UNSCOPED_INFO(expected[i].output << " uses " << used);
    worst = std::max(worst, used);
  }
  return worst;
}

const char* const kOutputs[] = {"dP", "dO1", "dL1", "dw", "dg"};

}  // namespace

TEST_CASE("correct fp32 kernels stay well inside the bounds of attnres_merge_bwd",
          "[attnres_merge_bwd]") {
  const Kernel kernels[] = {
      {},
      {.lanes = 1, .gain = Gain::sums, .rest_of_lse = true},
      {.weights = Weights::difference, .gain = Gain::delta, .terms_apart = true, .parts = 4},
      {.weights = Weights::by_lse, .parts = 3, .backwards = true},
      {.lanes = 1, .weights = Weights::by_lse, .gain = Gain::delta, .rest_of_lse = true}};
  double worst = 0;
  for (const char* text :
       {"T=3 D=5 dlse=1", "T=1 D=1", "T=5 D=33 g=1 dlse=1 accumulate=1", "T=12 D=130 g=1",
        "T=4 D=2304", "T=64 D=24 g=1", "T=12 D=64 g=1 dlse=1 eps=0"}) {
    for (const char* dtype : {"f32", "f16", "bf16"}) {
      Data data(problem(std::string("dtype=") + dtype + " " + text));
      for (const Family& family : data.op.families) {
        if (!data.applies(family)) continue;
        data.fill(family.name);
        for (const Kernel& kernel : kernels) {
          INFO(str(data.problem) << " lanes " << kernel.lanes << " weights "
                                 << static_cast<int>(kernel.weights));
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

TEST_CASE("the statistical bound of a merge's dw holds for many tokens, whatever the order",
          "[attnres_merge_bwd]") {
  double worst = 0;
  for (const char* family : {"gaussian", "spread", "near_ties", "aligned", "zeros"}) {
    Data data(problem("dtype=bf16 T=4000 D=24 g=1 dlse=1"));
    data.fill(family);
    for (const Kernel& kernel :
         {Kernel{}, Kernel{.gain = Gain::delta, .terms_apart = true, .parts = 128},
          Kernel{.lanes = 1, .backwards = true}}) {
      const auto expected = data.reference(declared(data, kernel));
      const Run run(data, kernel);
      for (std::size_t i = 3; i < 5; ++i) {
        const double used = utilisation(run.outputs[i], expected[i]);
        INFO(family << " parts " << kernel.parts);
        CHECK(used < 0.3);
        worst = std::max(worst, used);
      }
      // Far below the sum that holds for any inputs.
      Data other(problem("dtype=bf16 T=4000 D=24 g=1 dlse=1"));
      other.fill(family);
      other.problem.family.clear();
      const auto rigorous = other.reference(declared(data, kernel));
      for (std::size_t i = 0; i < 24; ++i) CHECK(expected[3].bound[i] <= rigorous[3].bound[i]);
      if (family == std::string("gaussian"))
        CHECK(expected[3].bound[0] < 0.2 * rigorous[3].bound[0]);
    }
  }
  CAPTURE(worst);
  CHECK(worst > 0.001);
}

TEST_CASE("errors of single tokens lie far below what the statistical bound of a merge's dw takes",
          "[attnres_merge_bwd]") {
  double worst = 0;
  for (const char* text : {"T=1 D=2000", "T=1 D=2304 dlse=1", "T=1 D=7168"}) {
    Data data(problem(std::string("dtype=f32 ") + text));
    for (const Kernel& kernel :
         {Kernel{.lanes = 4},
          Kernel{.lanes = 4, .weights = Weights::by_lse, .gain = Gain::delta}}) {
      for (const std::uint64_t seed : {1, 2, 3}) {
        data.fill("gaussian", seed);
        const Numerics numerics = declared(data, kernel);
        const Run run(data, kernel);
        constexpr std::size_t kDw = 3;
        const auto expected = data.reference(numerics);
        const double used = utilisation(run.outputs[kDw], expected[kDw]);
        INFO(str(data.problem) << " seed " << seed);
        CHECK(used < 1.0 / 60);
        worst = std::max(worst, used);
        data.problem.family.clear();  // the rigorous bound alone
        CHECK(expected[kDw].bound[0] < 0.7 * data.reference(numerics)[kDw].bound[0]);
      }
    }
  }
  CAPTURE(worst);
  CHECK(worst > 1e-4);
}

TEST_CASE("exact families of attnres_merge_bwd are exact in fp32", "[attnres_merge_bwd]") {
  for (const char* text : {"T=5 D=2 dlse=1", "T=9 D=8 g=1 dlse=1",
                           "T=37 D=256 g=1 dlse=1 accumulate=1", "T=300 D=64"}) {
    for (const char* dtype : {"f32", "f16", "bf16"}) {
      Data data(problem(std::string("eps=0 dtype=") + dtype + " " + text));
      data.fill("exact");
      for (const Kernel& kernel :
           {Kernel{}, Kernel{.lanes = 1, .gain = Gain::delta, .parts = 3, .backwards = true},
            Kernel{.weights = Weights::difference,
                   .gain = Gain::sums,
                   .rest_of_lse = true,
                   .terms_apart = true,
                   .numerics = {.probabilities = DType::bf16, .weights = DType::bf16}}}) {
        const auto expected = data.reference();
        const Run run(data, kernel);
        double largest = 0;
        for (std::size_t i = 0; i < expected.size(); ++i) {
          for (std::size_t e = 0; e < run.outputs[i].size(); ++e) {
            INFO(str(data.problem) << " " << expected[i].output << "[" << e << "]");
            REQUIRE(run.outputs[i][e] == static_cast<float>(expected[i].value[e]));
            if (i == 3) largest = std::max(largest, std::abs(expected[i].value[e]));
          }
        }
        CHECK(largest > 1);
      }
    }
  }
}

TEST_CASE("roundings to 16 bits stay inside the bound of attnres_merge_bwd that declares them",
          "[attnres_merge_bwd]") {
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
    for (const char* text : {"T=5 D=33", "T=5 D=130 g=1 dlse=1", "T=40 D=20"}) {
      Data data(problem(std::string("dtype=f32 ") + text));
      for (const Family& family : data.op.families) {
        // Coefficients beyond 65504, such as dl r where r is 1000, can't be f16.
        const bool large = family.name == "dtype_edge" || family.name == "spread" ||
                           family.name == "tiny" || family.name == "zeros" || family.name == "far";
        if (!data.applies(family) || (dtype == DType::f16 && large)) continue;
        data.fill(family.name);
        INFO(what << " " << name(dtype) << " " << str(data.problem));
        CHECK(worst_of(data, kernel, declared(data, kernel)) < 1);
        Numerics silent = declared(data, kernel);
        silent.probabilities = silent.weights = silent.partials = DType::f32;
        if (!family.name.starts_with("nan"))
          undeclared = std::max(undeclared, worst_of(data, kernel, silent));
      }
    }
    CHECK(undeclared > 1);
  }
}

TEST_CASE("wrong kernels leave the bounds of attnres_merge_bwd", "[attnres_merge_bwd]") {
  struct Wrong {
    Bug bug;
    const char* shown_in;  // the outputs that must show it, and no other may
  };
  const Wrong wrong =
      GENERATE(Wrong{Bug::no_norm, "dP dO1 dL1 dw dg"}, Wrong{Bug::drops_last, "dP dO1 dL1 dw dg"},
               Wrong{Bug::rstd_for_cube, "dP"}, Wrong{Bug::projection_sign, "dP"},
               Wrong{Bug::no_projection, "dP"}, Wrong{Bug::gain_squared, "dw"},
               Wrong{Bug::drops_tail, "dw dg"}, Wrong{Bug::no_rest, "dP dL1 dw dg"},
               Wrong{Bug::no_d_lse, "dP dL1 dw dg"}, Wrong{Bug::no_given, "dP"},
               Wrong{Bug::no_eps, "dP dO1 dL1 dw dg"}, Wrong{Bug::wrong_scale, "dP dO1 dL1 dw dg"},
               Wrong{Bug::gain_of_p, "dP dL1 dw dg"}, Wrong{Bug::wrong_dw, "dw"});
  for (const std::string dtype : {"f32", "f16", "bf16"}) {
    for (const char* size : {"T=37 D=72", "T=20 D=1000", "T=300 D=123"}) {
      Data data(problem("g=1 dlse=1 accumulate=1 dtype=" + dtype + " " + size));
      const Kernel kernel{.parts = 4, .bug = wrong.bug};
      std::map<std::string, bool> seen;
      std::string families;
      for (const char* family :
           {"gaussian", "spread", "tiny", "sparse", "aligned", "uneven", "large_logits"}) {
        const auto expected = data.fill(family).reference(declared(data, kernel));
        const Run run(data, kernel);
        for (std::size_t i = 0; i < expected.size(); ++i) {
          // Rounded to the output's dtype, as the harness sees it.
          const TensorSpec spec = data.spec(expected[i].output);
          std::vector<std::byte> stored(static_cast<std::size_t>(spec.bytes()));
          store_floats({spec, stored.data()}, run.outputs[i]);
          if (judge(spec, stored.data(), expected[i]).wrong == 0) continue;
          seen[spec.name] = true;
          families += std::string(" ") + family + ":" + spec.name;
        }
      }
      INFO("bug " << static_cast<int>(wrong.bug) << " " << str(data.problem) << " left in"
                  << families);
      for (const char* output : kOutputs) {
        INFO(output);
        const std::string shown = std::string(" ") + wrong.shown_in + " ";
        CHECK(seen[output] == (shown.find(std::string(" ") + output + " ") != std::string::npos));
      }
      // However many tokens there are, sparse cotangents show one that is dropped.
      if (wrong.bug == Bug::drops_tail) CHECK(families.find("sparse:dw") != std::string::npos);
    }
  }
}

TEST_CASE("a β that errs absolutely leaves the bounds of attnres_merge_bwd",
          "[attnres_merge_bwd]") {
  Data data(problem("dtype=f32 T=37 D=72"));
  const Kernel kernel{.bug = Bug::tanh};
  data.fill("far");
  CHECK(worst_of(data, kernel, declared(data, kernel)) > 3);
}

TEST_CASE("the bias test finds what the bounds of attnres_merge_bwd allow", "[attnres_merge_bwd]") {
  // With few lanes for a long D the bounds are wide: dw that is 0.02 % too large is within them.
  const auto slopes = [](Bug bug, const std::string& output) {
    BiasTest test;
    for (const std::uint64_t seed : {1, 2}) {
      Data data(problem("dtype=f32 T=800 D=2000"));
      data.fill("gaussian", seed);
      const Kernel kernel{.lanes = 4, .parts = 8, .bug = bug};
      const Numerics numerics = declared(data, kernel);
      const auto expected = data.reference(numerics);
      const auto sensitivities = data.op.sensitivities(data.problem, data.inputs, numerics);
      const Run run(data, kernel);
      for (const Sensitivity& sensitivity : sensitivities) {
        if (sensitivity.output != output) continue;
        for (std::size_t i = 0; i < expected.size(); ++i) {
          if (expected[i].output != output) continue;
          CHECK(utilisation(run.outputs[i], expected[i]) < 1);
          test.add(data.spec(output), run.outputs[i].data(), expected[i], sensitivity, -1);
        }
      }
    }
    std::map<std::string, Slope> result;
    for (const Slope& slope : test.slopes()) result[slope.sensitivity] = slope;
    return result;
  };
  for (const char* output : {"dP", "dO1", "dL1", "dw"}) {
    for (const auto& [name, slope] : slopes(Bug::none, output)) {
      INFO(output << " " << name << " " << slope.estimate << " ± " << slope.standard_error
                  << " allowed " << slope.allowance);
      CHECK(!slope.biased());
    }
  }
  const Slope scale = slopes(Bug::slightly_wrong_dw, "dw")["scale"];
  INFO(scale.estimate << " ± " << scale.standard_error << " allowed " << scale.allowance);
  CHECK(scale.biased());
}

TEST_CASE("zeros pass for hardly any output of attnres_merge_bwd", "[attnres_merge_bwd]") {
  const auto share = [](Data& data, const std::vector<std::string>& families, std::size_t output) {
    std::int64_t accepted = 0, nonzero = 0;
    for (const std::string& family : families) {
      const auto expected = data.fill(family).reference(
          {.summation_height = height(data.dim("D"), 16), .batch_height = 256});
      const TensorSpec spec = data.spec(expected[output].output);
      const std::vector<unsigned char> zeros(static_cast<std::size_t>(spec.bytes()));
      const Judgement judgement = judge(spec, zeros.data(), expected[output]);
      accepted += judgement.zero_accepted;
      nonzero += judgement.nonzero;
    }
    return static_cast<double>(accepted) / static_cast<double>(nonzero);
  };
  for (const std::string dtype : {"f32", "f16", "bf16"}) {
    for (const char* more : {"", "dlse=1 "}) {
      Data data(problem("g=1 T=37 D=72 " + std::string(more) + "dtype=" + dtype));
      std::vector<std::string> all;
      for (const Family& family : data.op.families)
        if (data.applies(family)) all.push_back(family.name);
      for (std::size_t output = 0; output < 5; ++output) {
        CAPTURE(dtype, more, kOutputs[output]);
        CHECK(share(data, all, output) < 0.01);
      }
    }
  }
  Data large(problem("T=8192 D=72 dtype=bf16"));
  CHECK(share(large, {"gaussian"}, 3) < 0.01);
}

}  // namespace assay
