// What the sensitivities of the backward ops have in common: an error of one factor also looks like
// one of another, as far as what they do is alike, and sums over tokens scatter together.
#pragma once

#include <vector>

#include "harness/core/op.h"

namespace assay::attnres_bias {

using Values = std::vector<double>;

double product(const Values& a, const Values& b);

// One output's sensitivities to the factors of these names; values, allowances and scatter have one
// each. Each allowance grows by those of the others times |Σ s s'| / Σ s², and by its scatter.
void add_sensitivities(std::vector<Sensitivity>& all, const char* output,
                       const std::vector<const char*>& names, const std::vector<Values>& values,
                       const std::vector<double>& allowances, const std::vector<double>& scatter);

// Of each factor: what independent errors of the tokens may do to its estimate from dw. Add for
// each token what they may do to Σ s X at most.
class Scatter {
 public:
  explicit Scatter(std::size_t factors) : sums_(factors), squares_(factors) {}
  void add(std::size_t factor, double moved) {
    sums_[factor] += moved;
    squares_[factor] += moved * moved;
  }
  // x: the sensitivities of X.
  std::vector<double> of(const std::vector<Values>& x) const;

 private:
  std::vector<double> sums_, squares_;
};

// Values of X become those of weights⊙X.
std::vector<Values> weighted(const std::vector<Values>& x, const std::vector<float>& weights);

}  // namespace assay::attnres_bias
