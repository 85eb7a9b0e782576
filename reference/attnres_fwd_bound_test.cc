// The bounds of attnres_fwd: straightforward fp32 kernels stay inside them with room to spare,
// slightly wrong ones do not.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "harness/testing.h"
#include "reference/attnres_fwd_testing.h"
#include "reference/families.h"

namespace assay {
namespace {

using attnres_testing::Data;
using attnres_testing::Shape;

enum class Bug { none, drops_last, no_norm, no_eps, base_2_lse, drops_source, wrong_scale };
enum class Order {
  running,
  lanes,
  online
};  // of the sums over D; online: lanes, and one pass over the sources

struct Result {
  std::vector<float> o, lse;  // (Q,T,D), (Q,T)
};

constexpr std::int64_t kLanes = 16;

// Σ_i f(i) over [0, n) in fp32: one running sum, or kLanes of them and a tree.
template <class F>
float total(std::int64_t n, Order order, const F& f) {
  float lanes[kLanes] = {};
  const std::int64_t step = order == Order::running ? 1 : kLanes;
  for (std::int64_t i = 0; i < n; ++i) lanes[i % step] += f(i);
  for (std::int64_t width = step / 2; width > 0; width /= 2) {
    for (std::int64_t i = 0; i < width; ++i) lanes[i] += lanes[i + width];
  }
  return lanes[0];
}

// One token and query of a kernel that computes in fp32 throughout. v (N,D), c (D).
void token(const std::vector<float>& v, const std::vector<float>& c, float eps, Order order,
           Bug bug, float* o, float* lse) {
  const auto dim = static_cast<std::int64_t>(c.size());
  const auto sources = static_cast<std::int64_t>(v.size()) / dim;
  const std::int64_t summed = dim - (bug == Bug::drops_last ? 1 : 0);
  float m = -INFINITY, z = 0;
  std::fill_n(o, dim, 0.0f);
  std::vector<float> logits(static_cast<std::size_t>(sources));
  const std::int64_t mixed = sources - (bug == Bug::drops_source ? 1 : 0);
  for (std::int64_t n = 0; n < mixed; ++n) {
    const float* const row = v.data() + n * dim;
    const float square = total(summed, order, [&](std::int64_t d) { return row[d] * row[d]; });
    const float dot = total(
        summed, order, [&](std::int64_t d) { return c[static_cast<std::size_t>(d)] * row[d]; });
    float r = 1 / std::sqrt(square / static_cast<float>(dim) + (bug == Bug::no_eps ? 0 : eps));
    if (bug == Bug::no_norm) r = 1;
    if (bug == Bug::wrong_scale) r *= 1.001f;
    logits[static_cast<std::size_t>(n)] = r * dot;
    m = std::max(m, r * dot);
  }
  if (order == Order::online) m = -INFINITY;
  for (std::int64_t n = 0; n < mixed; ++n) {
    const float l = logits[static_cast<std::size_t>(n)];
    const float next = std::max(m, l);
    const float rescale = next == m ? 1 : std::exp(m - next);
    const float p = std::exp(l - next);
    m = next;
    z = z * rescale + p;
    for (std::int64_t d = 0; d < dim; ++d)
      o[d] = o[d] * rescale + p * v[static_cast<std::size_t>(n * dim + d)];
  }
  for (std::int64_t d = 0; d < dim; ++d) o[d] = o[d] * (1 / z);
  *lse = m + std::log(z);
  if (bug == Bug::base_2_lse) *lse = m * std::numbers::log2e_v<float> + std::log2(z);
}

Result run(const Data& data, Order order, Bug bug = Bug::none) {
  const std::int64_t sources = data.problem.dim("N"), queries = data.problem.dim("Q"),
                     tokens = data.problem.dim("T"), dim = data.problem.dim("D");
  const auto eps = static_cast<float>(data.problem.real("eps"));
  Result result;
  result.o.resize(static_cast<std::size_t>(queries * tokens * dim));
  result.lse.resize(static_cast<std::size_t>(queries * tokens));
  std::vector<float> v(static_cast<std::size_t>(sources * dim)), c(static_cast<std::size_t>(dim));
  for (std::int64_t t = 0; t < tokens; ++t) {
    for (std::int64_t n = 0; n < sources; ++n) {
      for (std::int64_t d = 0; d < dim; ++d) {
        v[static_cast<std::size_t>(n * dim + d)] = static_cast<float>(data.v(n, t, d));
      }
    }
    for (std::int64_t q = 0; q < queries; ++q) {
      for (std::int64_t d = 0; d < dim; ++d)
        c[static_cast<std::size_t>(d)] = static_cast<float>(data.c(q, d));
      token(v, c, eps, order, bug, result.o.data() + (q * tokens + t) * dim,
            result.lse.data() + q * tokens + t);
    }
  }
  return result;
}

Numerics numerics(const Problem& problem, Order order) {
  const std::int64_t dim = problem.dim("D");
  return {.accumulate = DType::f32,
          .summation_height = height(dim, order == Order::running ? 1 : kLanes),
          .rescales = order == Order::online ? static_cast<double>(problem.dim("N")) : 0};
}

// Largest |got - want| / bound: above 1 is outside. NaN counts as outside.
double utilisation(const std::vector<float>& got, const Expected& expected) {
  double worst = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double u = std::abs(got[i] - expected.value[i]) / expected.bound[i];
    worst = u <= worst ? worst : std::isnan(u) ? INFINITY : u;
  }
  return worst;
}

}  // namespace

TEST_CASE("correct fp32 kernels stay well inside the bounds of attnres_fwd", "[attnres_fwd]") {
  const Shape shapes[] = {{1, 1, 5, 1},   {2, 2, 7, 1},    {1, 3, 7, 123}, {2, 1, 9, 8},
                          {9, 2, 6, 123}, {33, 1, 3, 100}, {64, 2, 2, 37}, {9, 1, 3, 2304}};
  double worst = 0;
  for (const Shape& s : shapes) {
    for (const DType dtype : kAllDTypes) {
      for (const char* family : {kGaussian, kSpread}) {
        Data data(s, dtype, dtype, s.queries > 1);
        for (const std::uint64_t seed : {1, 2, 3}) {
          data.fill(family, seed);
          for (const Order order : {Order::running, Order::lanes, Order::online}) {
            const auto expected = data.reference(numerics(data.problem, order));
            const Result got = run(data, order);
            const double o = utilisation(got.o, expected[0]),
                         lse = utilisation(got.lse, expected[1]);
            INFO("N=" << s.sources << " D=" << s.dim << " " << name(dtype) << " " << family
                      << " order " << static_cast<int>(order) << " seed " << seed);
            CHECK(o < 0.7);
            CHECK(lse < 0.7);
            worst = std::max({worst, o, lse});
          }
        }
      }
    }
  }
  CAPTURE(worst);
  CHECK(worst > 0.05);  // far looser bounds would be of no use
}

TEST_CASE("wrong kernels leave the bounds of attnres_fwd", "[attnres_fwd]") {
  const Bug bug = GENERATE(Bug::drops_last, Bug::no_norm, Bug::no_eps, Bug::base_2_lse,
                           Bug::drops_source, Bug::wrong_scale);
  const DType dtype = GENERATE(DType::f32, DType::f16, DType::bf16);
  for (const Shape& s : {Shape{9, 1, 37, 123}, Shape{2, 2, 24, 1000}, Shape{33, 1, 16, 2304}}) {
    double o = 0, lse = 0;
    for (const char* family : {kGaussian, kSpread}) {
      if (bug == Bug::no_eps && family == kGaussian) continue;  // eps is nothing to unit rows
      Data data(s, dtype, dtype, true);
      const auto expected = data.fill(family).reference(numerics(data.problem, Order::lanes));
      const Result got = run(data, Order::lanes, bug);
      o = std::max(o, utilisation(got.o, expected[0]));
      lse = std::max(lse, utilisation(got.lse, expected[1]));
    }
    INFO("bug " << static_cast<int>(bug) << " " << name(dtype) << " N=" << s.sources
                << " D=" << s.dim << " utilisation of O " << o << " and of LSE " << lse);
    CHECK(lse > 1);
    CHECK((o > 1) == (bug != Bug::base_2_lse));
  }
}

}  // namespace assay
