// attnres_merge_bwd in fp32 throughout, in the forms and orders that kernels take, right and
// slightly wrong: what the tests of its bounds measure.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "reference/attnres_merge_bwd_testing.h"

namespace assay::attnres_merge_bwd_testing {

using contract_testing::Floats;
using contract_testing::rounded;
using contract_testing::total;

enum class Bug {
  none,
  no_norm,
  drops_last,
  rstd_for_cube,
  projection_sign,
  no_projection,
  gain_squared,
  drops_tail,
  no_rest,
  no_d_lse,
  no_given,
  no_eps,
  wrong_scale,
  tanh,
  gain_of_p,
  wrong_dw,
  slightly_wrong_dw
};

// How β and 1 - β come about: both from the odds; the second as a difference; as exp(l - LSE).
enum class Weights { odds, difference, by_lse };
// How s does: from Σ dH (P - O1), from two sums, or as β (a - (β a + (1-β) o)) of them.
enum class Gain { differences, sums, delta };

// A kernel that computes in fp32 throughout.
struct Kernel {
  std::int64_t lanes = 16;  // of sums over D
  Weights weights = Weights::odds;
  Gain gain = Gain::differences;
  bool rest_of_lse = false;  // dL1 = dLSE - dl
  bool terms_apart = false;  // dP is added up term by term; else coefficients come first
  std::int64_t parts = 1;    // of the tokens, whose X are added in the end
  bool backwards = false;    // over tokens
  Numerics numerics{};       // roundings to 16 bits
  Bug bug = Bug::none;
};

class Run {
 public:
  Run(const Data& data, const Kernel& kernel)
      : k_(kernel),
        tokens_(data.dim("T")),
        dim_(data.dim("D")),
        eps_(kernel.bug == Bug::no_eps ? 0 : static_cast<float>(data.problem.real("eps"))),
        p_(data.values("P")),
        o1_(data.values("O1")),
        d_h_(data.values("dH")),
        l1_(data.values("L1")),
        d_lse_(data.values("dLSE")),
        c_(data.values("w")) {
    const Floats g = data.values("g"), w = c_;
    Floats d_p = data.values("dP");
    if (k_.bug == Bug::no_given || !data.problem.flag("accumulate")) d_p.assign(p_.size(), 0.0f);
    outputs = {d_p, Floats(p_.size()), Floats(l1_.size()), Floats(c_.size()), Floats(c_.size())};
    for (std::size_t i = 0; i < c_.size(); ++i) c_[i] = rounded(k_.numerics.weights, c_[i] * g[i]);
    for (std::int64_t part = 0; part < k_.parts; ++part) {
      Floats x(c_.size());
      const std::int64_t first = tokens_ * part / k_.parts, end = tokens_ * (part + 1) / k_.parts;
      for (std::int64_t i = first; i < end; ++i) {
        const std::int64_t t = k_.backwards ? first + end - 1 - i : i;
        token(t, k_.bug == Bug::drops_tail && t + 1 == tokens_ ? nullptr : x.data());
      }
      for (std::size_t i = 0; i < x.size(); ++i)
        outputs[3][i] += rounded(k_.numerics.partials, x[i]);
    }
    outputs[4] = outputs[3];
    for (std::size_t i = 0; i < c_.size(); ++i) {
      outputs[3][i] *= k_.bug == Bug::gain_squared ? g[i] * g[i] : g[i];
      if (k_.bug == Bug::wrong_dw) outputs[3][i] *= 1.01f;
      if (k_.bug == Bug::slightly_wrong_dw) outputs[3][i] *= 1.0002f;
      outputs[4][i] *= w[i];
    }
    if (!data.inputs.find("g")) outputs.pop_back();
  }

  std::vector<Floats> outputs;  // dP, dO1, dL1, dw, dg, unrounded fp32

 private:
  float coefficient(float value) const { return rounded(k_.numerics.probabilities, value); }

  // β, 1 - β.
  std::pair<float, float> weigh(float l, float l1) const {
    const float x = l - l1, odds = std::exp(-std::abs(x));
    if (k_.bug == Bug::tanh) {
      const float beta = 0.5f + 0.5f * std::tanh(0.5f * x);
      return {beta, 1 - beta};
    }
    if (k_.weights == Weights::by_lse) {
      const float lse = std::max(l, l1) + std::log1p(odds);
      return {std::exp(l - lse), std::exp(l1 - lse)};
    }
    const float sum = 1 + odds, beta = (x >= 0 ? 1 : odds) / sum;
    return {beta, k_.weights == Weights::difference ? 1 - beta : (x >= 0 ? odds : 1) / sum};
  }

  void token(std::int64_t t, float* x) {
    const float *const p = p_.data() + t * dim_, *const o1 = o1_.data() + t * dim_,
                       *const d_h = d_h_.data() + t * dim_;
    const std::int64_t summed = dim_ - (k_.bug == Bug::drops_last ? 1 : 0);
    const auto sum = [&](const auto& f) { return total(summed, k_.lanes, f); };
    const float mean = sum([&](std::int64_t d) { return p[d] * p[d]; }) / static_cast<float>(dim_);
    const float r = k_.bug == Bug::no_norm ? 1 : 1 / std::sqrt(mean + eps_);
    const std::size_t at = static_cast<std::size_t>(t);
    float l = r * sum([&](std::int64_t d) { return c_[static_cast<std::size_t>(d)] * p[d]; });
    if (k_.bug == Bug::wrong_scale) l *= 1.01f;
    const auto [beta, rest] = weigh(l, l1_[at]);

    const float by_p = sum([&](std::int64_t d) { return d_h[d] * p[d]; }),
                by_o1 = sum([&](std::int64_t d) { return d_h[d] * o1[d]; });
    float gain = by_p - by_o1;
    if (k_.gain == Gain::differences)
      gain = sum([&](std::int64_t d) { return d_h[d] * (p[d] - o1[d]); });
    if (k_.bug == Bug::gain_of_p) gain = by_p;
    float s = beta * (k_.bug == Bug::no_rest ? 1 : rest) * gain;
    if (k_.gain == Gain::delta) s = beta * (by_p - (beta * by_p + rest * by_o1));
    const float d_lse = k_.bug == Bug::no_d_lse ? 0 : d_lse_[at];
    const float d_l = s + beta * d_lse;
    outputs[2][at] = k_.rest_of_lse ? d_lse - d_l : rest * d_lse - s;
    gradients(t, r, l, beta, rest, d_l, x);
  }

  void gradients(std::int64_t t, float r, float l, float beta, float rest, float d_l, float* x) {
    const float *const p = p_.data() + t * dim_, *const d_h = d_h_.data() + t * dim_;
    float *const d_p = outputs[0].data() + t * dim_, *const d_o1 = outputs[1].data() + t * dim_;
    const float key = coefficient(d_l * r);
    const float square = k_.bug == Bug::rstd_for_cube ? r : r * r;
    float radial = coefficient(d_l * l * square / static_cast<float>(dim_));
    if (k_.bug == Bug::projection_sign) radial = -radial;
    if (k_.bug == Bug::no_projection) radial = 0;
    for (std::int64_t d = 0; d < dim_; ++d) {
      const float c = c_[static_cast<std::size_t>(d)], of_h = coefficient(beta) * d_h[d];
      if (k_.terms_apart)
        d_p[d] = ((d_p[d] + of_h) + key * c) - radial * p[d];
      else
        d_p[d] += of_h + (key * c - radial * p[d]);
      d_o1[d] = k_.weights == Weights::difference ? d_h[d] - of_h : coefficient(rest) * d_h[d];
      if (x) x[d] += key * p[d];
    }
  }

  Kernel k_;
  std::int64_t tokens_, dim_;
  float eps_;
  Floats p_, o1_, d_h_, l1_, d_lse_, c_;
};

inline Numerics declared(const Data& data, const Kernel& kernel) {
  Numerics numerics = kernel.numerics;
  numerics.summation_height = height(data.dim("D"), kernel.lanes);
  numerics.batch_height =
      height((data.dim("T") + kernel.parts - 1) / kernel.parts + kernel.parts, 1);
  return numerics;
}

}  // namespace assay::attnres_merge_bwd_testing
