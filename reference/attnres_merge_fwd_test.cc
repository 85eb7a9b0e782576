// attnres_merge_fwd: its reference against numbers worked out by hand, its definition and
// attnres_fwd; its bounds against straightforward fp32 kernels, right ones and slightly wrong ones;
// the updated P against every rounding of every pair of dtypes.
#include "reference/attnres_merge_fwd.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "harness/core/registry.h"
#include "harness/engine/interval.h"
#include "harness/engine/suite.h"
#include "harness/testing.h"
#include "reference/attnres_merge_fwd_contract.h"
#include "reference/families.h"

namespace assay {
namespace {

using attnres_merge_contract::add_to_odd;
using attnres_merge_contract::folded_weights;
using attnres_merge_contract::load_row;

// A problem and its inputs, zero until filled.
struct Data {
  explicit Data(const std::string& text)
      : problem(parse_problem("attnres_merge_fwd " + text)), op(op_of(problem)) {
    for (const TensorSpec& spec : tensor_specs(op, problem)) {
      if (spec.role == Role::out) continue;
      memory.emplace_back(static_cast<std::size_t>(spec.bytes()));
      inputs.add({spec, memory.back().data()});
    }
  }
  Data(const Data&) = delete;
  Data& operator=(const Data&) = delete;

  Data& fill(const std::string& family, std::uint64_t seed = 1) {
    op.find_family(family)->fill(problem, seed, inputs);
    return *this;
  }
  void set(const char* tensor, const std::vector<float>& values) const {
    store_floats(inputs[tensor], values);
  }
  std::vector<Expected> reference(const Numerics& numerics = {}) const {
    return op.reference(problem, inputs, numerics);
  }

  Problem problem;
  const Op& op;
  std::vector<std::vector<unsigned char>> memory;
  Tensors inputs;
};

bool close(double got, double want, double tolerance = 1e-13) {
  return std::abs(got - want) <= tolerance * std::max(1.0, std::abs(want));
}

bool applies(const Family& family, const Problem& problem) {
  return !family.inapplicable || family.inapplicable(problem).empty();
}

enum class Form { difference, convex, two_weights };
enum class Bug { none, no_eps, tanh, drops_last, hotter };

struct Result {
  std::vector<float> h, lse;
};

// A kernel that computes in fp32 throughout, sums over D in `lanes` running sums.
Result run(const Data& data, Form form, std::int64_t lanes, Bug bug = Bug::none) {
  const std::int64_t tokens = data.problem.dim("T"), dim = data.problem.dim("D");
  const auto eps = static_cast<float>(bug == Bug::no_eps ? 0 : data.problem.real("eps"));
  const std::vector<float> o1 = load_floats(data.inputs["O1"]), l1 = load_floats(data.inputs["L1"]);
  const std::vector<double> c = folded_weights(data.inputs);
  std::vector<double> row(static_cast<std::size_t>(dim)), sum(row);
  Result result;
  for (std::int64_t t = 0; t < tokens; ++t) {
    load_row(data.inputs, t, dim, row.data(), sum.data());
    std::vector<float> dots(static_cast<std::size_t>(lanes)), squares(dots);
    for (std::int64_t d = 0; d < dim - (bug == Bug::drops_last ? 1 : 0); ++d) {
      const auto x = static_cast<float>(row[static_cast<std::size_t>(d)]);
      dots[static_cast<std::size_t>(d % lanes)] +=
          static_cast<float>(c[static_cast<std::size_t>(d)]) * x;
      squares[static_cast<std::size_t>(d % lanes)] += x * x;
    }
    for (std::size_t i = 1; i < dots.size(); ++i) {
      dots[0] += dots[i];
      squares[0] += squares[i];
    }
    float l = dots[0] / std::sqrt(squares[0] / static_cast<float>(dim) + eps);
    if (bug == Bug::hotter) l *= 1.001f;
    const float other = l1[static_cast<std::size_t>(t)], x = l - other,
                odds = std::exp(-std::abs(x));
    float p_weight = (x >= 0 ? 1 : odds) / (1 + odds);
    const float o1_weight = (x >= 0 ? odds : 1) / (1 + odds);
    if (bug == Bug::tanh) p_weight = 0.5f + 0.5f * std::tanh(0.5f * x);
    for (std::int64_t d = 0; d < dim; ++d) {
      const auto p = static_cast<float>(row[static_cast<std::size_t>(d)]);
      const float o = o1[static_cast<std::size_t>(t * dim + d)];
      result.h.push_back(form == Form::difference ? o + p_weight * (p - o)
                         : form == Form::convex   ? (1 - p_weight) * o + p_weight * p
                                                  : o1_weight * o + p_weight * p);
    }
    result.lse.push_back(std::max(l, other) + std::log1p(odds));
  }
  return result;
}

double utilisation(const std::vector<float>& got, const Expected& expected) {
  double worst = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    if (std::isnan(got[i]) && std::isnan(expected.value[i])) continue;
    const double used = std::abs(got[i] - expected.value[i]) / expected.bound[i];
    worst = used <= worst ? worst : std::isnan(used) ? INFINITY : used;
  }
  return worst;
}

}  // namespace

TEST_CASE("attnres_merge_fwd: by hand", "[attnres_merge_fwd]") {
  // D = 1, eps = 16: P = 1 + 2 = 3, r = 1/5, l = 3w/5 = 3 for w = 5; L1 = 3: β = 1/2.
  Data data("dtype=f16 u=1 T=1 D=1 eps=16");
  data.set("P", {1});
  data.set("U", {2});
  data.set("w", {5});
  data.set("O1", {-1});
  data.set("L1", {3});
  const auto expected = data.reference();
  REQUIRE(expected.size() == 3);
  CHECK((expected[0].output == "P" && expected[1].output == "H" && expected[2].output == "LSE"));
  CHECK((expected[0].value[0] == 3 && expected[0].bound[0] == 0));
  CHECK(close(expected[1].value[0], 1));
  CHECK(close(expected[2].value[0], 3 + 0.6931471805599453));
}

TEST_CASE("attnres_merge_fwd's reference computes its definition, and that of attnres_fwd",
          "[attnres_merge_fwd]") {
  for (const char* text : {"dtype=f32 g=1 u=1 T=9 D=37", "dtype=bf16 T=9 D=300"}) {
    Data data(text);
    const std::int64_t tokens = data.problem.dim("T"), dim = data.problem.dim("D");
    for (const Family& family : data.op.families) {
      if (!applies(family, data.problem) || family.name.starts_with("nan")) continue;
      const auto expected = data.fill(family.name).reference();
      const Expected &h = expected[expected.size() - 2], &lse = expected.back();
      const std::vector<double> weights = folded_weights(data.inputs);
      const std::vector<float> o1_values = load_floats(data.inputs["O1"]),
                               l1 = load_floats(data.inputs["L1"]);
      Eigen::ArrayXd p(dim), o1(dim), sum(dim);
      const Eigen::ArrayXd c = Eigen::Map<const Eigen::ArrayXd>(weights.data(), dim);
      for (std::int64_t t = 0; t < tokens; ++t) {
        load_row(data.inputs, t, dim, p.data(), sum.data());
        for (std::int64_t d = 0; d < dim; ++d)
          o1(d) = o1_values[static_cast<std::size_t>(t * dim + d)];
        const auto token = attnres_merge_fwd_token<double>(
            p, c, o1, l1[static_cast<std::size_t>(t)], data.problem.real("eps"));
        INFO(text << " " << family.name << " t=" << t);
        CHECK(close(lse.value[static_cast<std::size_t>(t)], token.lse));
        double worst = 0;
        for (std::int64_t d = 0; d < dim; ++d) {
          const auto at = static_cast<std::size_t>(t * dim + d);
          worst = std::max(worst, std::abs(h.value[at] - token.output(d)) / h.bound[at]);
        }
        CHECK(worst < 1e-6);
      }
    }
  }
}

TEST_CASE("attnres_merge_fwd: all forms of fp32 kernels stay well inside the bound",
          "[attnres_merge_fwd]") {
  double worst = 0;
  for (const char* text :
       {"dtype=f32 g=1 T=12 D=37", "dtype=bf16 u=1 T=12 D=300", "dtype=f16 T=7 D=8"}) {
    Data data(text);
    for (const Family& family : data.op.families) {
      if (!applies(family, data.problem)) continue;
      for (const std::uint64_t seed : {1, 2}) {
        data.fill(family.name, seed);
        for (const std::int64_t lanes : {1, 16}) {
          const auto expected =
              data.reference({.summation_height = height(data.problem.dim("D"), lanes)});
          for (const Form form : {Form::difference, Form::convex, Form::two_weights}) {
            const Result got = run(data, form, lanes);
            INFO(text << " " << family.name << " seed " << seed << " lanes " << lanes << " form "
                      << static_cast<int>(form));
            const double h = utilisation(got.h, expected[expected.size() - 2]),
                         lse = utilisation(got.lse, expected.back());
            CHECK(h < 0.7);
            CHECK(lse < 0.7);
            worst = std::max({worst, h, lse});
          }
        }
      }
    }
  }
  CAPTURE(worst);
  CHECK(worst > 0.05);
}

TEST_CASE("attnres_merge_fwd: slightly wrong kernels leave the bound", "[attnres_merge_fwd]") {
  const std::pair<Bug, const char*> bugs[] = {{Bug::no_eps, "tiny"},
                                              {Bug::tanh, "far"},
                                              {Bug::drops_last, "spike"},
                                              {Bug::hotter, "gaussian"}};
  for (const auto& [bug, family] : bugs) {
    Data data("dtype=f32 T=12 D=37");
    data.fill(family);
    const auto expected = data.reference({.summation_height = height(37, 1)});
    const Result got = run(data, Form::difference, 1, bug);
    INFO(family);
    CHECK(std::max(utilisation(got.h, expected[0]), utilisation(got.lse, expected[1])) > 3);
  }
}

TEST_CASE("attnres_merge_fwd: sums rounded to odd round once", "[attnres_merge_fwd]") {
  // Midpoints of bf16, f16 and f32, and what is too small for fp64 to see beside them.
  for (const int digits : {8, 11, 24}) {
    const double midpoint = 1 + std::ldexp(1.0, -digits);
    for (const double beside : {-0x1p-80, 0.0, 0x1p-80}) {
      const double sum = add_to_odd(midpoint, beside);
      const double up = 1 + std::ldexp(1.0, 1 - digits);
      const double want = beside > 0 ? up : 1;  // a tie goes to 1, which is even
      const double got = digits == 8    ? to_float(round_to<bf16>(sum))
                         : digits == 11 ? to_float(round_to<f16>(sum))
                                        : round_to<float>(sum);
      CHECK(got == want);
      CHECK(add_to_odd(-midpoint, -beside) == -sum);
    }
  }
  CHECK(add_to_odd(1, -1) == 0);
  CHECK(std::isnan(add_to_odd(1, std::nan(""))));
  CHECK(add_to_odd(INFINITY, 1) == INFINITY);
}

TEST_CASE("attnres_merge_fwd: fp32 adds a U of no more bits than P with one rounding",
          "[attnres_merge_fwd]") {
  for (const char* text :
       {"dtype=bf16 u=1 T=64 D=64", "dtype=f16 u=1 T=64 D=64", "dtype=f16 u=bf16 T=64 D=64",
        "dtype=f32 u=1 T=64 D=64", "dtype=f32 u=f16 T=64 D=64"}) {
    Data data(text);
    for (const Family& family : data.op.families) {
      if (!applies(family, data.problem)) continue;
      data.fill(family.name);
      const auto expected = data.reference();
      const std::vector<float> p = load_floats(data.inputs["P"]), u = load_floats(data.inputs["U"]);
      int wrong = 0;
      dispatch(data.problem.dtype_of("P"), [&](auto type) {
        using T = typename decltype(type)::type;
        for (std::size_t i = 0; i < p.size(); ++i) {
          const float got = to_float(round_to<T>(p[i] + u[i]));
          const float want = to_float(round_to<T>(expected[0].value[i]));
          const bool same = got == want && std::signbit(got) == std::signbit(want);
          wrong += !same && !std::isnan(expected[0].value[i]);
        }
      });
      INFO(text << " " << family.name);
      CHECK(wrong == 0);
    }
  }
}

TEST_CASE("attnres_merge_fwd: the exact family has one result in every form",
          "[attnres_merge_fwd]") {
  for (const char* text : {"dtype=bf16 u=1 g=1 T=15 D=33", "dtype=f16 T=15 D=8"}) {
    for (const std::uint64_t seed : {1, 2, 7}) {
      Data data(text);
      data.fill("exact", seed);
      const auto expected = data.reference({.summation_height = 4096});
      const Expected& h = expected[expected.size() - 2];
      int wrong = 0;
      for (const Form form : {Form::difference, Form::convex, Form::two_weights}) {
        const Result got = run(data, form, 4);
        for (std::size_t i = 0; i < got.h.size(); ++i) wrong += got.h[i] != h.value[i];
      }
      CHECK(wrong == 0);
      // What the next column holds is recognised.
      const Family& family = *data.op.find_family("exact");
      int explained = 0;
      for (std::int64_t t = 0; t < 15; ++t) {
        const auto at = static_cast<std::size_t>(t * data.problem.dim("D") + 2);
        const std::string said = family.read_instead(
            data.problem, data.inputs, "H", static_cast<std::int64_t>(at), h.value[at + 1]);
        explained += said.find("d=3] was read instead of") != std::string::npos;
      }
      CHECK(explained >= 5);
    }
  }
}

TEST_CASE("attnres_merge_fwd's sensitivities are the derivatives of the reference",
          "[attnres_merge_fwd]") {
  for (const char* family : {"gaussian", "tiny", "near_ties", "large_logits"}) {
    Data data("dtype=f32 g=1 T=4 D=37 eps=0.001");
    data.fill(family);
    const auto all = data.op.sensitivities(data.problem, data.inputs, {});
    REQUIRE(all.size() == 9);
    const std::vector<double> weights = folded_weights(data.inputs);
    const std::vector<float> o1_values = load_floats(data.inputs["O1"]),
                             l1 = load_floats(data.inputs["L1"]);
    const auto token = [&](std::int64_t t, double scale, double eps, double shift) {
      Eigen::ArrayXd p(37), o1(37), c(37), sum(37);
      load_row(data.inputs, t, 37, p.data(), sum.data());
      for (std::int64_t d = 0; d < 37; ++d) {
        o1(d) = o1_values[static_cast<std::size_t>(t * 37 + d)];
        c(d) = (1 + scale) * weights[static_cast<std::size_t>(d)];
      }
      return attnres_merge_fwd_token<double>(
          p, c, o1, l1[static_cast<std::size_t>(t)] * (1 + shift), 1e-3 * (1 + eps));
    };
    constexpr double kStep = 1e-6;
    for (std::size_t k = 0; k < 3; ++k) {
      const double steps[] = {k == 0 ? kStep : 0, k == 1 ? kStep : 0, k == 2 ? kStep : 0};
      double largest = 0, error = 0;
      for (std::int64_t t = 0; t < 4; ++t) {
        const auto high = token(t, steps[0], steps[1], steps[2]),
                   low = token(t, -steps[0], -steps[1], -steps[2]);
        const auto compare = [&](double slope, double value) {
          largest = std::max(largest, std::abs(value));
          error = std::max(error, std::abs(slope / (2 * kStep) - value));
        };
        for (Eigen::Index d = 0; d < 37; ++d)
          compare(high.output(d) - low.output(d),
                  all[k].value[static_cast<std::size_t>(t * 37 + d)]);
        compare(high.lse - low.lse, all[5 + k].value[static_cast<std::size_t>(t)]);
      }
      INFO(family << ": " << all[k].name);
      CHECK(error < 1e-4 * largest + 1e-7);
    }
  }
}

TEST_CASE("attnres_merge_fwd's cost is each tensor once, and P twice where it is updated",
          "[attnres_merge_fwd]") {
  const Data plain("dtype=bf16 T=16 D=100"), updated("dtype=bf16 u=1 T=16 D=100");
  const Cost a = plain.op.cost(plain.problem), b = updated.op.cost(updated.problem);
  CHECK(a.bytes_read == 2 * (2 * 16 * 100 + 100) + 4 * 16);
  CHECK(a.bytes_written == 2 * 16 * 100 + 4 * 16);
  CHECK(b.bytes_read == a.bytes_read + 2 * 16 * 100);
  CHECK(b.bytes_written == a.bytes_written + 2 * 16 * 100);
}

}  // namespace assay
