// The bias test: a systematic error, though it hides inside the intervals of single elements, shows
// in all of them together.
//
// A kernel whose factor (the scale of the logits, say) is wrong by 1 + e errs by e·s_i in element
// i, s_i the op's Sensitivity. e is estimated over all elements by weighted least squares,
//   e = Σ w s (got - round(want)) / Σ w s²,  w = 1/σ²,  σ² = ulp(want)²/12 + (bound/4)²,
// the weights being those of a rounding to the output's dtype and of errors well inside the bound.
// Against want itself, roundings alone would show: among values that grow rarer as they grow
// larger, more are rounded up than down. Errors within one slice of the batch dim (a token) share
// their logits, hence their errors: the standard error comes from the slices' sums, se² = Σ_slices
// (Σ w s (got - want - e s))² / (Σ w s²)². It fails when |e| is neither explained by the declared
// arithmetic (Sensitivity::allowance) nor by kDeviations standard errors. With the 32 slices asked
// for at least (not counting those of little weight), eight of them are exceeded with a probability
// of 4e-9 (Student's t, 31 degrees of freedom).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "harness/core/op.h"
#include "harness/core/tensor.h"

namespace assay {

struct Slope {
  std::string output, sensitivity;
  double slices = 0;  // that had a say; those of little weight count for less: (Σ w)² / Σ w²
  double estimate = 0, standard_error = 0, allowance = 0;
  bool biased() const;
};

class BiasTest {
 public:
  // One output of one run. `batch_axis` of its shape tells the slices; -1: each element is its own.
  void add(const TensorSpec& spec, const void* got, const Expected& expected,
           const Sensitivity& sensitivity, int batch_axis);

  // Over all runs, for each output and sensitivity.
  std::vector<Slope> slopes() const;

 private:
  struct Slice {
    double error = 0, square = 0;  // Σ w s (got - round(want)), Σ w s²
  };
  struct Sums {
    std::vector<Slice> slices;
    double allowance = 0;
  };
  std::map<std::pair<std::string, std::string>, Sums> sums_;
};

}  // namespace assay
