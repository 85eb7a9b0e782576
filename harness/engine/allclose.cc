#include "harness/engine/allclose.h"

#include <cmath>

namespace assay {

Tolerance assert_close_tolerance(DType dtype) {
  switch (dtype) {
    case DType::bf16:
      return {.rtol = 1.6e-2, .atol = 1e-5};
    case DType::f16:
      return {.rtol = 1e-3, .atol = 1e-5};
    case DType::f32:
      break;
  }
  return {.rtol = 1.3e-6, .atol = 1e-5};
}

Tolerance attention_test_tolerance(DType dtype) {
  const double both = dtype == DType::f32 ? 1e-3 : 1e-2;
  return {.rtol = both, .atol = both};
}

Tolerance loose_tolerance(DType dtype) {
  return {.rtol = 0, .atol = dtype == DType::f32 ? 1e-3 : 1e-1};
}

const std::vector<NamedTolerance>& usual_tolerances() {
  static const std::vector<NamedTolerance> all = {
      {"assert_close", "defaults of torch.testing.assert_close", assert_close_tolerance},
      {"attention", "rtol = atol = 1e-2, as in tests of attention kernels",
       attention_test_tolerance},
      {"loose", "atol = 1e-1, as in tests of attention residuals", loose_tolerance},
  };
  return all;
}

bool allclose(const TensorSpec& spec, const void* got, const Expected& expected,
              Tolerance tolerance) {
  return dispatch(spec.dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    const T* const values = static_cast<const T*>(got);
    for (std::int64_t i = 0; i < expected.size; ++i) {
      const double want = to_float(round_to<T>(expected.value[static_cast<std::size_t>(i)]));
      const double have = to_float(values[i]);
      if (have == want) continue;  // infinities too
      if (!std::isfinite(want)) return false;
      if (!(std::abs(have - want) <= tolerance.atol + tolerance.rtol * std::abs(want)))
        return false;
    }
    return true;
  });
}

}  // namespace assay
