// Compiled with -ffp-contract=off like families.cc: the same bits on every machine.
#include "reference/attnres_inputs.h"

#include <algorithm>
#include <cmath>

#include "reference/families.h"

namespace assay::attnres_inputs {
namespace {

double to_real(std::int64_t x) { return static_cast<double>(x); }

}  // namespace

float root(double x) { return static_cast<float>(std::sqrt(x)); }
float root_dim(const Problem& problem) { return root(to_real(problem.dim("D"))); }

void gaussian_weights(const Problem& problem, std::uint64_t seed, const Tensors& inputs,
                      float length) {
  fill_gaussian(inputs["w"], {seed, kW}, length / root_dim(problem));
  if (const TensorView* g = inputs.find("g")) fill_gaussian(*g, {seed, kG}, 0.25f, 1);
}

float TinyScale::operator()(std::int64_t row) const {
  return centre_ *
         std::ldexp(1 + uniform(sequence_, 2 * row), integer(sequence_, 2 * row + 1, -2, 1));
}

std::string tiny_inapplicable(double eps, DType dtype) {
  if (eps == 0) return "eps is 0";
  const bool narrow = dtype == DType::f16;
  if (eps < (narrow ? 0x1p-34 : 0x1p-100) || eps > (narrow ? 0x1p18 : 0x1p100))
    return "the dtype has no rows whose mean square is near eps";
  return "";
}

void set_spike(float* row, std::int64_t dim, std::int64_t i) {
  float& spike = row[rotating_column(i, dim)];
  spike = std::copysign(2 * root(to_real(dim)), spike);
}

void spike_weights(const Problem& problem, std::uint64_t seed, const Tensors& inputs) {
  fill_signed(inputs["w"], {seed, kW}, 1.5f / root_dim(problem));
  if (const TensorView* g = inputs.find("g")) fill_signed(*g, {seed, kG});
}

void move_to_edge(float* row, std::int64_t dim, DType dtype, bool to_top, int edge) {
  const bool narrow = dtype == DType::f16;
  const int room = (124 - std::ilogb(to_real(dim)) - 1) / 2;
  const float top = narrow ? 65504 : std::ldexp(1.0f, std::min(edge, room));
  const float bottom = std::ldexp(1.0f, -edge);
  for (std::int64_t d = 0; d < dim; ++d) {
    const float x = row[d], magnitude = std::min(0.5f + 0.25f * std::abs(x), 1.0f);
    if (to_top)
      row[d] = std::copysign(top * magnitude, x);
    else if (narrow)
      row[d] = x * 0x1p-18f;
    else
      row[d] = std::copysign(bottom * magnitude, x);
  }
}

Steering::Steering(std::int64_t queries, const Problem& problem, std::uint64_t seed,
                   const Tensors& inputs, const Steered& how)
    : dim_(problem.dim("D")), eps_(problem.real("eps")) {
  const auto dim = static_cast<std::size_t>(dim_);
  std::vector<float> g(static_cast<std::size_t>(queries) * dim, 1.0f);
  if (const TensorView* tensor = inputs.find("g")) {
    fill_signed(*tensor, {seed, kG});
    g = load_floats(*tensor);
  }
  // The largest logit that any row can have is √D |c|.
  std::vector<float> base(dim), w(g.size());
  random_gaussian({seed, kW}, 0, dim_, base.data());
  const double length = std::sqrt(dot(base.data(), base.data(), dim_) / to_real(dim_));
  for (float& x : base) x *= static_cast<float>(2 * how.reach / (to_real(dim_) * length));
  random_gaussian({seed, kW}, dim_, queries * dim_, w.data());
  for (std::size_t i = 0; i < w.size(); ++i) {
    const std::size_t q = i / dim;
    const float own = q == 0 ? 0 : how.noise / root_dim(problem) * w[i];
    const float factor = how.scaled ? std::ldexp(1.0f, -static_cast<int>(q % 3)) : 1;
    w[i] = (factor * base[i % dim] + own) / g[i];
  }
  store_floats(inputs["w"], w);
  w = load_floats(inputs["w"]);  // as stored
  direction_.resize(dim);
  for (std::size_t d = 0; d < dim; ++d) direction_[d] = w[d] * g[d];
  square_ = dot(direction_.data(), direction_.data(), dim_);
}

void Steering::turn(float* row, double logit) const {
  const double along = dot(direction_.data(), row, dim_) / square_;
  const double whole = dot(row, row, dim_);
  const double across = std::max(whole - along * along * square_, 0.0);
  double kept = 1;
  if (across < whole / 64) kept = std::min(std::sqrt(whole / 64 / across), 64.0);
  const double rest = kept * kept * across + to_real(dim_) * eps_;
  const double limit = to_real(dim_) * square_;
  double b = std::sqrt(logit * logit * rest / std::max(limit - logit * logit, limit / 4));
  if (dim_ == 1) b = std::sqrt(whole) + 0.25;  // nothing but the sign is free
  b = std::copysign(b / std::sqrt(square_), logit);
  combine(row, static_cast<float>(kept), direction_.data(), static_cast<float>(b - kept * along),
          dim_);
}

std::string steered_inapplicable(const Problem& problem) {
  return problem.real("eps") > 1 ? "eps outweighs the rows" : "";
}

}  // namespace assay::attnres_inputs
