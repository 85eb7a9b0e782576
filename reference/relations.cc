#include "reference/relations.h"

#include <algorithm>
#include <cstring>

namespace assay {

void copy(const Tensors& from, const Tensors& to, const char* name) {
  if (const TensorView* tensor = from.find(name))
    std::memcpy(to[name].data, tensor->data, static_cast<std::size_t>(tensor->spec.bytes()));
}

void copy_all(const Tensors& from, const Tensors& to) {
  for (const TensorView& tensor : to) copy(from, to, tensor.spec.name.c_str());
}

void multiply(const TensorView& from, const TensorView& to, double factor) {
  dispatch(from.spec.dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    for (std::int64_t i = 0; i < from.spec.elements(); ++i)
      to.as<T>()[i] = round_to<T>(factor * to_float(from.as<T>()[i]));
  });
}

void multiply_if_there(const Tensors& from, const Tensors& to, const char* name, double factor) {
  if (const TensorView* tensor = from.find(name)) multiply(*tensor, to[name], factor);
}

Problem with_option(const Problem& problem, const char* name, const OptionValue& value) {
  Problem derived = problem;
  for (Problem::Option& option : derived.options)
    if (option.name == name) option = {name, value, false};
  return derived;
}

void scale(Expected& expected, double value, double bound) {
  for (std::size_t i = 0; i < static_cast<std::size_t>(expected.size); ++i) {
    expected.value[i] *= value;
    expected.bound[i] *= bound;
  }
}

void reverse_rows(Expected& expected, std::int64_t outer, std::int64_t rows, std::int64_t width) {
  for (double* values : {expected.value.get(), expected.bound.get()}) {
    for (std::int64_t i = 0; i < outer; ++i) {
      double* const first = values + i * rows * width;
      for (std::int64_t row = 0; row < rows / 2; ++row)
        std::swap_ranges(first + row * width, first + (row + 1) * width,
                         first + (rows - 1 - row) * width);
    }
  }
}

}  // namespace assay
