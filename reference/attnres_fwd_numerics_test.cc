// fp32 kernels emulated on the host, which sum in several orders and round to 16 bits where a
// kernel may declare it: they stay inside the declared bound and leave the undeclared one, and they
// give exactly the bits that the exact family demands.
#include <algorithm>
#include <cmath>
#include <map>

#include "harness/testing.h"
#include "reference/attnres_fwd.h"
#include "reference/attnres_fwd_testing.h"

namespace assay {
namespace {

using attnres_testing::Data;
using attnres_testing::Shape;

float rounded(DType dtype, float x) {
  return dispatch(dtype, [&](auto type) -> float {
    return to_float(round_to<typename decltype(type)::type>(x));
  });
}

struct Kernel {
  std::int64_t lanes = 16;   // of sums over D
  std::int64_t parts = 1;    // of the sources, merged at the end
  bool backwards = false;    // over the sources
  bool rounded_sum = false;  // the normaliser adds rounded probabilities
  bool normalised = false;   // parts
  Numerics numerics{};       // the roundings to 16 bits
};

template <class F>
float total(std::int64_t n, std::int64_t lanes, const F& f) {
  std::vector<float> sums(static_cast<std::size_t>(lanes));
  for (std::int64_t i = 0; i < n; ++i) sums[static_cast<std::size_t>(i % lanes)] += f(i);
  for (std::size_t width = sums.size() / 2; width > 0; width /= 2)
    for (std::size_t i = 0; i < width; ++i) sums[i] += sums[i + width];
  return sums[0];
}

struct Result {
  std::vector<float> o, lse;
};

// Online softmax over the sources of each part; the parts are merged.
Result run(const Data& data, const Kernel& kernel) {
  const std::int64_t sources = data.problem.dim("N"), queries = data.problem.dim("Q"),
                     tokens = data.problem.dim("T"), dim = data.problem.dim("D");
  const auto size = static_cast<std::size_t>(dim);
  const auto eps = static_cast<float>(data.problem.real("eps"));
  Result result;
  for (std::int64_t q = 0; q < queries; ++q) {
    std::vector<float> c(size);
    for (std::int64_t d = 0; d < dim; ++d)
      c[static_cast<std::size_t>(d)] =
          rounded(kernel.numerics.weights, static_cast<float>(data.c(q, d)));
    for (std::int64_t t = 0; t < tokens; ++t) {
      float max = -INFINITY, sum = 0;
      std::vector<float> mix(size);
      for (std::int64_t part = 0; part < kernel.parts; ++part) {
        float m = -INFINITY, z = 0;
        std::vector<float> o(size), v(size);
        for (std::int64_t i = part; i < sources; i += kernel.parts) {
          const std::int64_t n = kernel.backwards ? sources - 1 - i : i;
          for (std::int64_t d = 0; d < dim; ++d)
            v[static_cast<std::size_t>(d)] = static_cast<float>(data.v(n, t, d));
          const auto at = [](std::int64_t d) { return static_cast<std::size_t>(d); };
          const float square =
              total(dim, kernel.lanes, [&](std::int64_t d) { return v[at(d)] * v[at(d)]; });
          const float dot =
              total(dim, kernel.lanes, [&](std::int64_t d) { return c[at(d)] * v[at(d)]; });
          const float l = dot * (1 / std::sqrt(square / static_cast<float>(dim) + eps));
          const float next = std::max(m, l);
          const float keep = next == m ? 1 : std::exp(m - next), p = std::exp(l - next);
          const float weight = rounded(kernel.numerics.probabilities, p);
          m = next;
          z = z * keep + (kernel.rounded_sum ? weight : p);
          for (std::size_t d = 0; d < size; ++d) o[d] = o[d] * keep + weight * v[d];
        }
        if (part >= sources) continue;
        for (float& x : o) x = rounded(kernel.numerics.partials, kernel.normalised ? x / z : x);
        const float next = std::max(max, m), keep = next == max ? 1 : std::exp(max - next);
        const float scale = std::exp(m - next), share = kernel.normalised ? scale * z : scale;
        max = next;
        sum = sum * keep + z * scale;
        for (std::size_t d = 0; d < size; ++d) mix[d] = mix[d] * keep + share * o[d];
      }
      for (const float x : mix) result.o.push_back(x / sum);
      result.lse.push_back(max + std::log(sum));
    }
  }
  return result;
}

Numerics declared(const Data& data, const Kernel& kernel) {
  Numerics numerics = kernel.numerics;
  numerics.summation_height = height(data.problem.dim("D"), kernel.lanes);
  numerics.rescales = static_cast<double>(data.problem.dim("N"));
  return numerics;
}

double utilisation(const std::vector<float>& got, const Expected& expected) {
  double worst = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    if (std::isnan(got[i]) && std::isnan(expected.value[i])) continue;
    const double u = std::abs(got[i] - expected.value[i]) / expected.bound[i];
    worst = u <= worst ? worst : std::isnan(u) ? INFINITY : u;
  }
  return worst;
}

bool applies(const Family& family, const Problem& problem) {
  return !family.inapplicable || family.inapplicable(problem).empty();
}

}  // namespace

TEST_CASE("fp32 kernels stay well inside the bound on every family", "[attnres_fwd]") {
  double worst = 0;
  for (const Shape& s :
       {Shape{1, 1, 3, 8}, {2, 3, 5, 33}, {9, 2, 5, 130}, {33, 1, 3, 70}, {5, 1, 4, 2304}}) {
    for (const DType dtype : kAllDTypes) {
      Data data(s, dtype, dtype, s.queries > 1);
      for (const Family& family : Data::op().families) {
        if (!applies(family, data.problem)) continue;
        data.fill(family.name);
        for (const Kernel& kernel : {Kernel{}, Kernel{.lanes = 1}, Kernel{.parts = 2}}) {
          const auto expected = data.reference(declared(data, kernel));
          const Result got = run(data, kernel);
          INFO(str(data.problem) << " " << family.name << " lanes " << kernel.lanes);
          const double used =
              std::max(utilisation(got.o, expected[0]), utilisation(got.lse, expected[1]));
          CHECK(used < 0.7);
          worst = std::max(worst, used);
        }
      }
    }
  }
  CAPTURE(worst);
  CHECK(worst > 0.05);
}

TEST_CASE("roundings to 16 bits stay inside the bound that declares them", "[attnres_fwd]") {
  const DType dtype = GENERATE(DType::f16, DType::bf16);
  std::vector<std::pair<const char*, Kernel>> kernels = {
      {"probabilities", {.numerics = {.probabilities = dtype}}},
      {"probabilities, added rounded", {.rounded_sum = true, .numerics = {.probabilities = dtype}}},
      {"weights", {.numerics = {.weights = dtype}}},
      {"partials", {.parts = 3, .numerics = {.partials = dtype}}},
      {"normalised partials", {.parts = 3, .normalised = true, .numerics = {.partials = dtype}}},
      {"all",
       {.parts = 3,
        .rounded_sum = true,
        .numerics = {.probabilities = dtype, .weights = dtype, .partials = dtype}}}};
  for (const auto& [what, kernel] : kernels) {
    std::map<std::string, double> undeclared;
    double worst = 0;
    for (const Shape& s : {Shape{2, 1, 5, 33}, {9, 2, 5, 130}, {33, 1, 3, 70}}) {
      Data data(s, DType::f32, DType::f32, true);
      for (const Family& family : Data::op().families) {
        if (!applies(family, data.problem)) continue;
        // Outputs near 2^60 can't be f16.
        if (family.name == "dtype_edge" && kernel.numerics.partials == DType::f16) continue;
        if (family.name == "spread" && kernel.numerics.partials == DType::f16) continue;
        data.fill(family.name);
        const Result got = run(data, kernel);
        const auto with = data.reference(declared(data, kernel));
        INFO(what << " " << name(dtype) << " " << str(data.problem) << " " << family.name);
        const double used = std::max(utilisation(got.o, with[0]), utilisation(got.lse, with[1]));
        CHECK(used < 1);
        worst = std::max(worst, used);
        Kernel silent = kernel;
        silent.numerics = {};
        const auto without = data.reference(declared(data, silent));
        double& most = undeclared[family.name];
        most = std::max(most, utilisation(got.o, without[0]));
      }
    }
    INFO(what << " " << name(dtype) << ": utilisation " << worst << ", undeclared on gaussian "
              << undeclared["gaussian"]);
    CHECK(worst > 0.02);
    CHECK(undeclared["gaussian"] > 10);
  }
}

TEST_CASE("the exact family has one result, whatever the order", "[attnres_fwd]") {
  for (const Shape& s :
       {Shape{1, 1, 4, 2}, {2, 1, 9, 3}, {5, 6, 7, 33}, {33, 2, 6, 64}, {17, 1, 5, 301}}) {
    for (const DType dtype : kAllDTypes) {
      for (const bool has_g : {false, true}) {
        Data data(s, dtype, dtype, has_g);
        for (const std::uint64_t seed : {1, 2, 7}) {
          data.fill("exact", seed);
          INFO(str(data.problem) << " seed " << seed);
          const auto expected = data.reference({.summation_height = 4096});
          // The mean of the rows that have no logit.
          std::vector<double> exact;
          for (std::int64_t q = 0; q < s.queries; ++q) {
            for (std::int64_t t = 0; t < s.tokens; ++t) {
              std::vector<std::int64_t> winners;
              for (std::int64_t n = 0; n < s.sources; ++n) {
                bool wins = true;
                for (std::int64_t d = 0; d < s.dim; ++d)
                  wins = wins && data.c(q, d) * data.v(n, t, d) == 0;
                if (wins) winners.push_back(n);
              }
              REQUIRE(!winners.empty());
              REQUIRE(std::exp2(std::ilogb(static_cast<double>(winners.size()))) ==
                      static_cast<double>(winners.size()));
              for (std::int64_t d = 0; d < s.dim; ++d) {
                double sum = 0;
                for (const std::int64_t n : winners) sum += data.v(n, t, d);
                exact.push_back(sum / static_cast<double>(winners.size()));
              }
            }
          }
          int wrong = 0;
          for (std::size_t i = 0; i < exact.size(); ++i) {
            wrong += expected[0].value[i] != exact[i];
            wrong += rounded(dtype, static_cast<float>(exact[i])) != exact[i];
          }
          CHECK(wrong == 0);
          const Numerics narrow{
              .probabilities = DType::bf16, .weights = DType::f16, .partials = DType::bf16};
          for (const Kernel& kernel :
               {Kernel{}, Kernel{.lanes = 1, .backwards = true}, Kernel{.parts = 3},
                Kernel{.parts = 4, .normalised = true}, Kernel{.parts = 2, .numerics = narrow}}) {
            const Result got = run(data, kernel);
            for (std::size_t i = 0; i < exact.size(); ++i) wrong += got.o[i] != exact[i];
            CHECK(wrong == 0);
          }
        }
      }
    }
  }
}

TEST_CASE("a wrong exact element tells what was read instead", "[attnres_fwd]") {
  const Shape s{6, 1, 40, 64};
  Data data(s, DType::bf16, DType::bf16, false);
  data.fill("exact", 3);
  const auto expected = data.reference();
  const Family& family = *Data::op().find_family("exact");
  int explained = 0, missing = 0;
  for (std::int64_t t = 0; t < s.tokens; ++t) {
    const std::int64_t d = 17, at = t * s.dim + d;
    const double want = expected[0].value[static_cast<std::size_t>(at)];
    std::vector<std::int64_t> winners;
    for (std::int64_t n = 0; n < s.sources; ++n) {
      bool wins = true;
      for (std::int64_t k = 0; k < s.dim; ++k) wins = wins && data.c(0, k) * data.v(n, t, k) == 0;
      if (wins) winners.push_back(n);
    }
    const auto place = [&](std::int64_t n, std::int64_t column) {
      return "V[n=" + std::to_string(n) + ", t=" + std::to_string(t) +
             ", d=" + std::to_string(column) + "]";
    };
    const auto said = [&](double got) {
      return family.read_instead(data.problem, data.inputs, "O", at, got);
    };
    if (winners.size() == 1) {
      const double got = data.v(winners[0], t, d + 1);
      explained +=
          said(got) == place(winners[0], d + 1) + " was read instead of " + place(winners[0], d);
    } else {
      const auto count = static_cast<double>(winners.size());
      missing +=
          said(want - data.v(winners[1], t, d) / count) == place(winners[1], d) + " is missing";
    }
    CHECK(said(1e30).empty());
    CHECK(family.read_instead(data.problem, data.inputs, "LSE", t, 0).empty());
  }
  CAPTURE(explained, missing);
  CHECK(explained > 10);
  CHECK(missing > 10);
}

TEST_CASE("sensitivities are the derivatives of the reference", "[attnres_fwd]") {
  for (const char* family : {"gaussian", "tiny", "near_ties", "large_logits"}) {
    Data data({5, 2, 4, 37}, DType::f32, DType::f32, true, 1e-3);
    data.fill(family);
    const auto all = Data::op().sensitivities(data.problem, data.inputs, {});
    REQUIRE(all.size() == 6);
    // O and LSE with logits times 1 + e, or eps times 1 + f.
    const auto outputs = [&](double e, double f) {
      std::vector<double> o(2L * 4 * 37), lse(2L * 4);
      for (std::int64_t t = 0; t < 4; ++t) {
        RowMatrix<double> v(5, 37), c(2, 37);
        for (std::int64_t d = 0; d < 37; ++d) {
          for (std::int64_t n = 0; n < 5; ++n) v(n, d) = data.v(n, t, d);
          for (std::int64_t q = 0; q < 2; ++q) c(q, d) = (1 + e) * data.c(q, d);
        }
        const auto token = attnres_fwd_token<double>(v, c, 1e-3 * (1 + f));
        for (std::int64_t q = 0; q < 2; ++q) {
          lse[static_cast<std::size_t>(q * 4 + t)] = token.lse(q);
          for (std::int64_t d = 0; d < 37; ++d)
            o[static_cast<std::size_t>((q * 4 + t) * 37 + d)] = token.output(q, d);
        }
      }
      return std::pair(o, lse);
    };
    constexpr double kStep = 1e-5;
    for (const Sensitivity& sensitivity : all) {
      INFO(family << ": " << sensitivity.name << " of " << sensitivity.output);
      CHECK((sensitivity.allowance > 0 && sensitivity.allowance < 1e-5));
      if (sensitivity.name == "normaliser") continue;
      const bool eps = sensitivity.name == "eps", is_o = sensitivity.output == "O";
      const auto up = outputs(eps ? 0 : kStep, eps ? kStep : 0);
      const auto down = outputs(eps ? 0 : -kStep, eps ? -kStep : 0);
      const auto& high = is_o ? up.first : up.second;
      const auto& low = is_o ? down.first : down.second;
      REQUIRE(sensitivity.value.size() == high.size());
      double largest = 0, error = 0;
      for (std::size_t i = 0; i < high.size(); ++i) {
        largest = std::max(largest, std::abs(sensitivity.value[i]));
        error = std::max(error, std::abs((high[i] - low[i]) / (2 * kStep) - sensitivity.value[i]));
      }
      CHECK(error < 1e-4 * largest + 1e-9);
    }
  }
}

TEST_CASE("attnres_fwd: parts of the sources merge to the whole at every cut", "[attnres_fwd]") {
  const Shape s{7, 1, 3, 40};
  for (const Family& family : Data::op().families) {
    Data whole(s, DType::bf16, DType::bf16, true);
    if (family.name == "nan") continue;
    whole.fill(family.name);
    const auto want = whole.reference();
    for (std::int64_t cut = 1; cut < s.sources; ++cut) {
      Data low({cut, 1, 3, 40}, DType::bf16, DType::bf16, true);
      Data high({s.sources - cut, 1, 3, 40}, DType::bf16, DType::bf16, true);
      for (Data* part : {&low, &high}) {
        for (const char* tensor : {"w", "g"})
          std::memcpy(part->inputs[tensor].data, whole.inputs[tensor].data, 80);
        std::memcpy(part->inputs["V"].data,
                    whole.inputs["V"].as<std::byte>() + (part == &low ? 0 : cut * 240),
                    static_cast<std::size_t>(part->problem.dim("N") * 240));
      }
      const auto a = low.reference(), b = high.reference();
      for (std::size_t i = 0; i < 120; ++i) {
        const double la = a[1].value[i / 40], lb = b[1].value[i / 40], m = std::max(la, lb);
        const double za = std::exp(la - m), zb = std::exp(lb - m);
        INFO(family.name << " cut " << cut << " element " << i);
        REQUIRE(std::abs((za * a[0].value[i] + zb * b[0].value[i]) / (za + zb) -
                         want[0].value[i]) <= 1e-6 * want[0].bound[i]);
        REQUIRE(std::abs(m + std::log(za + zb) - want[1].value[i / 40]) <=
                1e-6 * want[1].bound[i / 40]);
      }
    }
  }
}

}  // namespace assay
