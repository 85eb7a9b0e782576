// What relations do with tensors and with expected outputs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "harness/core/op.h"
#include "harness/core/tensor.h"

namespace assay {

// A tensor as it is, if there is one of that name.
void copy(const Tensors& from, const Tensors& to, const char* name);

// Every tensor of `to` as it is in `from`: a relation then changes some of them.
void copy_all(const Tensors& from, const Tensors& to);

// to := factor · from, rounded.
void multiply(const TensorView& from, const TensorView& to, double factor);
void multiply_if_there(const Tensors& from, const Tensors& to, const char* name, double factor);

// Row i of `to`, of `width` elements, becomes row source(i) of `from`.
template <class Source>
void gather_rows(const TensorView& from, const TensorView& to, std::int64_t width,
                 const Source& source) {
  const auto bytes = static_cast<std::size_t>(width) * size_of(to.spec.dtype);
  for (std::int64_t i = 0; i < to.spec.elements() / width; ++i)
    std::memcpy(to.as<std::byte>() + static_cast<std::size_t>(i) * bytes,
                from.as<std::byte>() + static_cast<std::size_t>(source(i)) * bytes, bytes);
}

// With another value of one option.
Problem with_option(const Problem& problem, const char* name, const OptionValue& value);

void scale(Expected& expected, double value, double bound);

// Reverses the second axis of (outer, rows, width).
void reverse_rows(Expected& expected, std::int64_t outer, std::int64_t rows, std::int64_t width);

}  // namespace assay
