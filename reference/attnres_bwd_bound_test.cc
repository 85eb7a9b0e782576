// The bounds of attnres_bwd: fp32 kernels that take the formulas in several forms and orders stay
// inside them with room to spare, slightly wrong ones do not.
#include <algorithm>
#include <cmath>
#include <map>

#include "harness/engine/bias.h"
#include "harness/engine/interval.h"
#include "harness/engine/suite.h"
#include "harness/testing.h"
#include "reference/attnres_bwd_testing.h"

namespace assay {
namespace {

using attnres_bwd_testing::Data;

// "dtype=bf16 g=1 N=3 T=5 D=8"
Problem problem(const std::string& text) { return parse_problem("attnres_bwd " + text); }

enum class Bug {
  none,
  no_norm,
  drops_last,
  rstd_for_cube,
  projection_sign,
  no_projection,
  gain_squared,
  drops_tail,
  no_delta,
  no_d_lse,
  no_given,
  no_eps,
  wrong_scale,
  wrong_dw
};

// A kernel that computes in fp32 throughout.
struct Kernel {
  std::int64_t lanes = 16;    // of sums over D
  bool delta_of_mix = false;  // ⟨dO, O⟩ instead of Σ α a
  bool by_lse = false;        // α = exp(l - LSE)
  bool terms_apart = false;   // each query adds three terms to dV; else coefficients come first
  std::int64_t parts = 1;     // of the tokens, whose X are added in the end
  bool backwards = false;     // over tokens and sources
  Numerics numerics{};        // roundings to 16 bits
  Bug bug = Bug::none;
};

float rounded(DType dtype, float x) {
  return dispatch(dtype, [&](auto type) -> float {
    return to_float(round_to<typename decltype(type)::type>(x));
  });
}

using Floats = std::vector<float>;

template <class F>
float total(std::int64_t n, std::int64_t lanes, const F& f) {
  Floats sums(static_cast<std::size_t>(lanes));
  for (std::int64_t i = 0; i < n; ++i) sums[static_cast<std::size_t>(i % lanes)] += f(i);
  for (std::size_t width = sums.size() / 2; width > 0; width /= 2)
    for (std::size_t i = 0; i < width; ++i) sums[i] += sums[i + width];
  return sums[0];
}

float dot(const float* a, const float* b, std::int64_t n, std::int64_t lanes) {
  return total(n, lanes, [&](std::int64_t i) { return a[i] * b[i]; });
}

struct Result {
  std::vector<Floats> outputs;  // dV, dw, dg, unrounded fp32
};

class Run {
 public:
  Run(const Data& data, const Kernel& kernel)
      : k_(kernel),
        sources_(data.dim("N")),
        queries_(data.dim("Q")),
        tokens_(data.dim("T")),
        dim_(data.dim("D")),
        eps_(kernel.bug == Bug::no_eps ? 0 : static_cast<float>(data.problem.real("eps"))),
        v_(data.values("V")),
        d_output_(data.values("dO")),
        d_lse_(data.values("dLSE")),
        c_(data.values("w")),
        values_(data.values("dV")),
        x_(static_cast<std::size_t>(queries_ * dim_)) {
    const Floats g = data.values("g"), w = c_;
    if (k_.bug == Bug::no_given || !data.problem.flag("accumulate"))
      values_.assign(v_.size(), 0.0f);
    for (std::size_t i = 0; i < c_.size(); ++i) c_[i] = rounded(k_.numerics.weights, c_[i] * g[i]);
    for (std::int64_t part = 0; part < k_.parts; ++part) {
      Floats x(x_.size());
      const std::int64_t first = tokens_ * part / k_.parts, end = tokens_ * (part + 1) / k_.parts;
      for (std::int64_t i = first; i < end; ++i) {
        const std::int64_t t = k_.backwards ? first + end - 1 - i : i;
        token(t, k_.bug == Bug::drops_tail && t + 1 == tokens_ ? nullptr : x.data());
      }
      for (std::size_t i = 0; i < x.size(); ++i) x_[i] += rounded(k_.numerics.partials, x[i]);
    }
    result.outputs = {values_, x_, x_};
    for (std::size_t i = 0; i < x_.size(); ++i) {
      result.outputs[1][i] *= k_.bug == Bug::gain_squared ? g[i] * g[i] : g[i];
      if (k_.bug == Bug::wrong_dw) result.outputs[1][i] *= 1.01f;
      result.outputs[2][i] *= w[i];
    }
    if (!data.inputs.find("g")) result.outputs.pop_back();
  }

  Result result;

 private:
  const float* row(const Floats& all, std::int64_t i, std::int64_t t) const {
    return all.data() + (i * tokens_ + t) * dim_;
  }
  std::int64_t source(std::int64_t i) const { return k_.backwards ? sources_ - 1 - i : i; }
  std::size_t at(std::int64_t q, std::int64_t n) const {
    return static_cast<std::size_t>(q * sources_ + n);
  }

  void token(std::int64_t t, float* x) {
    Floats r(static_cast<std::size_t>(sources_)), l(at(queries_, 0)), alpha(l), ds(l);
    const std::int64_t summed = dim_ - (k_.bug == Bug::drops_last ? 1 : 0);
    const auto mean_of = static_cast<float>(dim_);
    for (std::int64_t n = 0; n < sources_; ++n) {
      const float* const v = row(v_, n, t);
      float& reciprocal = r[static_cast<std::size_t>(n)];
      reciprocal = 1 / std::sqrt(dot(v, v, summed, k_.lanes) / mean_of + eps_);
      if (k_.bug == Bug::no_norm) reciprocal = 1;
      for (std::int64_t q = 0; q < queries_; ++q) {
        l[at(q, n)] = reciprocal * dot(c_.data() + q * dim_, v, summed, k_.lanes);
        if (k_.bug == Bug::wrong_scale) l[at(q, n)] *= 1.01f;
      }
    }
    for (std::int64_t q = 0; q < queries_; ++q) score(t, q, l.data(), alpha.data(), ds.data());
    for (std::int64_t i = 0; i < sources_; ++i) gradient(source(i), t, r, l, alpha, ds, x);
  }

  void score(std::int64_t t, std::int64_t q, const float* all_l, float* all_alpha, float* all_ds) {
    const float* const l = all_l + q * sources_;
    float* const alpha = all_alpha + q * sources_;
    float* const ds = all_ds + q * sources_;
    const float m = *std::max_element(l, l + sources_);
    float z = 0, delta = 0;
    for (std::int64_t i = 0; i < sources_; ++i) {
      const std::int64_t n = source(i);
      z += alpha[n] = std::exp(l[n] - m);
    }
    for (std::int64_t i = 0; i < sources_; ++i) {
      const std::int64_t n = source(i);
      alpha[n] = k_.by_lse ? std::exp(l[n] - (m + std::log(z))) : alpha[n] / z;
      ds[n] = dot(row(d_output_, q, t), row(v_, n, t), dim_, k_.lanes);
      delta += alpha[n] * ds[n];
    }
    if (k_.delta_of_mix)
      delta = total(dim_, k_.lanes, [&](std::int64_t d) {
        float o = 0;
        for (std::int64_t n = 0; n < sources_; ++n) o += alpha[n] * row(v_, n, t)[d];
        return row(d_output_, q, t)[d] * o;
      });
    if (k_.bug == Bug::no_delta) delta = 0;
    const float d_lse =
        k_.bug == Bug::no_d_lse ? 0 : d_lse_[static_cast<std::size_t>(q * tokens_ + t)];
    for (std::int64_t n = 0; n < sources_; ++n) ds[n] = alpha[n] * (ds[n] - delta + d_lse);
  }

  void gradient(std::int64_t n, std::int64_t t, const Floats& all_r, const Floats& l,
                const Floats& alpha, const Floats& ds, float* x) {
    const float r = all_r[static_cast<std::size_t>(n)];
    const float* const v = row(v_, n, t);
    float* const out = values_.data() + (n * tokens_ + t) * dim_;
    const auto coefficient = [&](float value) { return rounded(k_.numerics.probabilities, value); };
    float along = 0;
    for (std::int64_t q = 0; q < queries_; ++q) along += ds[at(q, n)] * l[at(q, n)];
    const float square = k_.bug == Bug::rstd_for_cube ? r : r * r;
    along = coefficient(along * square / static_cast<float>(dim_));
    if (k_.bug == Bug::projection_sign) along = -along;
    if (k_.bug == Bug::no_projection) along = 0;
    for (std::int64_t d = 0; d < dim_; ++d) {
      float sum = k_.terms_apart ? out[d] : 0;
      for (std::int64_t q = 0; q < queries_; ++q) {
        const float k = coefficient(ds[at(q, n)] * r);
        sum += coefficient(alpha[at(q, n)]) * row(d_output_, q, t)[d];
        sum += k * c_[static_cast<std::size_t>(q * dim_ + d)];
        if (k_.terms_apart && k_.bug == Bug::none)
          sum -= coefficient(ds[at(q, n)] * l[at(q, n)] * r * r / static_cast<float>(dim_)) * v[d];
        if (x) x[q * dim_ + d] += k * v[d];
      }
      if (!k_.terms_apart || k_.bug != Bug::none) sum -= along * v[d];
      out[d] = k_.terms_apart ? sum : out[d] + sum;
    }
  }

  Kernel k_;
  std::int64_t sources_, queries_, tokens_, dim_;
  float eps_;
  Floats v_, d_output_, d_lse_, c_, values_, x_;
};

Numerics declared(const Data& data, const Kernel& kernel) {
  Numerics numerics = kernel.numerics;
  numerics.summation_height = height(data.dim("D"), kernel.lanes);
  numerics.batch_height =
      height((data.dim("T") + kernel.parts - 1) / kernel.parts * data.dim("N") + kernel.parts, 1);
  return numerics;
}

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
  // With few lanes for a long D the bounds are wide: dw that is 1 % too large is within them.
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
  const Slope scale = slopes(Bug::wrong_dw)["scale"];
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
