// Arrays whose element type is known at run time only: a switch that is the same for all threads,
// in place of a template argument that would multiply the instantiations. For what is small beside
// the main traffic, or written once.
#pragma once

#include <cstdint>

#include "kernels/device/vector.h"

namespace assay::ASSAY_TWIN {

struct AnyInput {
  const void* data = nullptr;  // null: absent
  DType dtype = DType::f32;

  ASSAY_DEVICE bool present() const { return data != nullptr; }
  template <class T>
  ASSAY_DEVICE const T* as() const {
    return static_cast<const T*>(data);
  }

  ASSAY_DEVICE float load(std::int64_t i) const {
    switch (dtype) {
      case DType::f16:
        return widen(as<f16>()[i]);
      case DType::bf16:
        return widen(as<bf16>()[i]);
      default:
        return as<float>()[i];
    }
  }

  // Elements i to i + kCount - 1 (2, 4 or 8); i a multiple of kCount and `data` aligned to 16
  // bytes.
  template <int kCount>
  ASSAY_DEVICE void load(std::int64_t i, float (&x)[kCount]) const {
    switch (dtype) {
      case DType::f16:
        return load_elements(as<f16>() + i, x);
      case DType::bf16:
        return load_elements(as<bf16>() + i, x);
      default:
        return load_elements(as<float>() + i, x);
    }
  }
};

struct AnyOutput {
  void* data = nullptr;
  DType dtype = DType::f32;

  template <class T>
  ASSAY_DEVICE T* as() const {
    return static_cast<T*>(data);
  }

  ASSAY_DEVICE void store(std::int64_t i, float x) const {
    switch (dtype) {
      case DType::f16:
        as<f16>()[i] = narrow<f16>(x);
        return;
      case DType::bf16:
        as<bf16>()[i] = narrow<bf16>(x);
        return;
      default:
        as<float>()[i] = x;
    }
  }

  // As AnyInput::load.
  template <int kCount>
  ASSAY_DEVICE void store(std::int64_t i, const float (&x)[kCount]) const {
    switch (dtype) {
      case DType::f16:
        return store_elements(as<f16>() + i, x);
      case DType::bf16:
        return store_elements(as<bf16>() + i, x);
      default:
        return store_elements(as<float>() + i, x);
    }
  }
};

}  // namespace assay::ASSAY_TWIN
