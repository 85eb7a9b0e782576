// Tensors as the harness sees them: a description (TensorSpec) and, apart from it, where the bytes
// are (TensorView).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "harness/core/dtype.h"

namespace assay {

enum class Role : std::uint8_t { in, out, inout };

struct TensorSpec {
  std::string name;  // as in the formula: "V", "LSE"
  Role role = Role::in;
  DType dtype = DType::f32;
  std::vector<std::int64_t> shape;
  std::vector<std::int64_t> strides;  // in elements, row-major

  std::int64_t elements() const;
  std::int64_t bytes() const;  // of the elements
  // From the first to the last element, with what lies between rows.
  std::int64_t span_bytes() const;
  std::int64_t row_elements() const { return shape.empty() ? 1 : shape.back(); }
  // Where row `row` (all that shares every index but the last) begins, in elements.
  std::int64_t row_offset(std::int64_t row) const;
  bool is_packed() const { return span_bytes() == bytes(); }
};

// "[q=0, t=5, d=17]"-style coordinates of a flat row-major index.
std::vector<std::int64_t> coordinates(const TensorSpec& spec, std::int64_t index);

struct TensorView {
  TensorSpec spec;
  void* data = nullptr;

  template <class T>
  T* as() const {
    return static_cast<T*>(data);
  }
};

// The present tensors of one problem in the order of the contract, found by name. An absent
// optional tensor is not in it.
class Tensors {
 public:
  Tensors() = default;
  explicit Tensors(std::vector<TensorView> views) : views_(std::move(views)) {}

  const TensorView* find(std::string_view name) const;        // null: absent
  const TensorView& operator[](std::string_view name) const;  // throws std::out_of_range
  void add(TensorView view) { views_.push_back(std::move(view)); }

  auto begin() const { return views_.begin(); }
  auto end() const { return views_.end(); }
  std::size_t size() const { return views_.size(); }

 private:
  std::vector<TensorView> views_;
};

// What a variant works on: pointers are to the memory of its backend.
struct Buffers {
  Tensors tensors;
  void* workspace = nullptr;  // as many bytes as Variant::workspace asked for; contents undefined

  const TensorView& operator[](std::string_view name) const { return tensors[name]; }
  const TensorView* find(std::string_view name) const { return tensors.find(name); }
};

}  // namespace assay
