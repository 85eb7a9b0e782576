// What relations do with tensors and with expected outputs.
#pragma once

#include <cstdint>

#include "harness/core/op.h"
#include "harness/core/tensor.h"

namespace assay {

// A tensor as it is, if there is one of that name.
void copy(const Tensors& from, const Tensors& to, const char* name);

// to := factor · from, rounded.
void multiply(const TensorView& from, const TensorView& to, double factor);

void scale(Expected& expected, double value, double bound);

// Reverses the second axis of (outer, rows, width).
void reverse_rows(Expected& expected, std::int64_t outer, std::int64_t rows, std::int64_t width);

}  // namespace assay
