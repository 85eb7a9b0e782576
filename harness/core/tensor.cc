#include "harness/core/tensor.h"

#include <stdexcept>

namespace assay {

std::int64_t TensorSpec::elements() const {
  std::int64_t count = 1;
  for (const std::int64_t size : shape) count *= size;
  return count;
}

std::int64_t TensorSpec::bytes() const {
  return elements() * static_cast<std::int64_t>(size_of(dtype));
}

std::int64_t TensorSpec::span_bytes() const {
  std::int64_t last = 0;
  for (std::size_t axis = 0; axis < shape.size(); ++axis) last += (shape[axis] - 1) * strides[axis];
  return (last + 1) * static_cast<std::int64_t>(size_of(dtype));
}

std::int64_t TensorSpec::row_offset(std::int64_t row) const {
  std::int64_t offset = 0;
  for (std::size_t axis = shape.size(); axis-- > 1;) {
    offset += row % shape[axis - 1] * strides[axis - 1];
    row /= shape[axis - 1];
  }
  return offset;
}

std::vector<std::int64_t> coordinates(const TensorSpec& spec, std::int64_t index) {
  std::vector<std::int64_t> result(spec.shape.size());
  for (std::size_t axis = spec.shape.size(); axis-- > 0;) {
    result[axis] = index % spec.shape[axis];
    index /= spec.shape[axis];
  }
  return result;
}

const TensorView* Tensors::find(std::string_view name) const {
  for (const TensorView& view : views_)
    if (view.spec.name == name) return &view;
  return nullptr;
}

const TensorView& Tensors::operator[](std::string_view name) const {
  if (const TensorView* view = find(name)) return *view;
  throw std::out_of_range("no tensor named " + std::string(name));
}

}  // namespace assay
