// attnres_bwd in fp32 throughout, in the forms and orders that kernels take, right and slightly
// wrong: what the tests of its bounds measure.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "reference/attnres_bwd_testing.h"

namespace assay::attnres_bwd_testing {

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
  wrong_dw,
  slightly_wrong_dw
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

using contract_testing::Floats;
using contract_testing::rounded;
using contract_testing::total;

inline float dot(const float* a, const float* b, std::int64_t n, std::int64_t lanes) {
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
      if (k_.bug == Bug::slightly_wrong_dw) result.outputs[1][i] *= 1.001f;
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

inline Numerics declared(const Data& data, const Kernel& kernel) {
  Numerics numerics = kernel.numerics;
  numerics.summation_height = height(data.dim("D"), kernel.lanes);
  numerics.batch_height =
      height((data.dim("T") + kernel.parts - 1) / kernel.parts * data.dim("N") + kernel.parts, 1);
  return numerics;
}

}  // namespace assay::attnres_bwd_testing
