// The usual tests of the field, for comparison with the intervals: |got - want| <= atol +
// rtol·|want| against the reference rounded to the output's dtype. The self-test counts the liars
// that they let through; nothing is judged by them.
#pragma once

#include <string>
#include <vector>

#include "harness/core/op.h"
#include "harness/core/tensor.h"

namespace assay {

struct Tolerance {
  double rtol = 0;
  double atol = 0;
};

struct NamedTolerance {
  std::string name;
  std::string source;
  Tolerance (*of)(DType dtype);
};

// The defaults of torch.testing.assert_close (PyTorch documentation): (1.3e-6, 1e-5) for f32,
// (1e-3, 1e-5) for f16, (1.6e-2, 1e-5) for bf16.
Tolerance assert_close_tolerance(DType dtype);
// Common in the tests of attention kernels: rtol = atol = 1e-2 for 16-bit outputs, 1e-3 for f32.
Tolerance attention_test_tolerance(DType dtype);
// atol 1e-1 for 16-bit outputs, 1e-3 for f32, no rtol: published tests of attention residuals.
Tolerance loose_tolerance(DType dtype);

// The three above, strictest first.
const std::vector<NamedTolerance>& usual_tolerances();

// Whether all elements are close, as torch.allclose(equal_nan=False) has it: a NaN on either side
// is not close, infinities of one sign are. `got` is in host memory and laid out by `spec`.
bool allclose(const TensorSpec& spec, const void* got, const Expected& expected,
              Tolerance tolerance);

}  // namespace assay
