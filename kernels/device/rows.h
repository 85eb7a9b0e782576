// Walking over a row of D elements with a whole block, and sums over the block.
#pragma once

#include <string_view>

#include "kernels/device/any_dtype.h"
#include "kernels/device/block.h"
#include "kernels/device/warp.h"

namespace assay::ASSAY_TWIN {

inline constexpr int kMaxWarps = 32;

// The sum of `value` over the block, in every thread; lanes first, then warps, in a fixed order.
ASSAY_DEVICE float block_sum(float value) {
  ASSAY_SHARED(sums, [kMaxWarps], float);
  value = warp_sum(value);
  sync_threads();  // the previous sum has been read
  if (lane_index() == 0) sums[warp_index()] = value;
  sync_threads();
  return warp_sum(lane_index() < num_warps() ? sums[lane_index()] : 0.0f);
}

// The sum of what each of the block's warps, at most kWarps, has left at `first` + w `pitch`, in
// order. Eight loads are under way at once: a loop that ends with the last warp waits for each.
template <int kWarps>
ASSAY_DEVICE float sum_over_warps(const float* first, int pitch) {
  constexpr int kAtOnce = kWarps < 8 ? kWarps : 8;
  float sum = 0;
  ASSAY_UNROLL
  for (int w = 0; w < kWarps; w += kAtOnce) {
    if (w >= num_warps()) break;
    float parts[kAtOnce];
    ASSAY_UNROLL
    for (int i = 0; i < kAtOnce; ++i) parts[i] = w + i < num_warps() ? first[(w + i) * pitch] : 0;
    ASSAY_UNROLL
    for (int i = 0; i < kAtOnce; ++i) sum += parts[i];
  }
  return sum;
}

// Calls body(d, kCount) for the parts of [begin, end) that fall to this thread: 16-byte vectors of
// T where rows are aligned (kCount = kVectorSize<T>), single elements elsewhere. `kCount` is an
// integral constant.
template <int kCount>
struct Count {
  static constexpr int value = kCount;
};
template <int kPart, class Body>
ASSAY_DEVICE void for_each_part(bool aligned, int begin, int end, const Body& body) {
  if (aligned) {
    for (int d = begin + thread_index() * kPart; d < end; d += num_threads() * kPart) {
      body(d, Count<kPart>{});
    }
  } else {
    for (int d = begin + thread_index(); d < end; d += num_threads()) body(d, Count<1>{});
  }
}

// x + y rounded to odd: rounded once more, to fewer bits, it is what the sum itself would be.
ASSAY_DEVICE float add_to_odd(float x, float y) {
  const float sum = x + y, back = sum - x;
  const float lost = (x - (sum - back)) + (y - back);  // exact (Knuth)
  const std::uint32_t bits = as_bits(sum);
  const bool is_finite = (bits & 0x7f800000u) != 0x7f800000u;
  if (!is_finite || lost == 0 || bits % 2 != 0) return sum;
  return as_float((lost > 0) == (sum > 0) ? bits + 1 : bits - 1);
}

// x + y as a T holds it: rounded once, also where an input has more bits.
template <class T>
ASSAY_DEVICE float rounded_sum(float x, float y) {
  if constexpr (sizeof(T) == 4) {
    return x + y;
  } else {
    return widen(narrow<T>(add_to_odd(x, y)));
  }
}

template <class T, int kCount>
ASSAY_DEVICE void load_part(const T* from, std::int64_t i, float (&x)[kCount]) {
  if constexpr (kCount == 1) {
    x[0] = widen(from[i]);
  } else {
    load_elements(from + i, x);
  }
}
template <int kCount>
ASSAY_DEVICE void load_part(const AnyInput& in, std::int64_t i, float (&x)[kCount]) {
  if constexpr (kCount == 1) {
    x[0] = in.load(i);
  } else {
    in.load(i, x);
  }
}
template <int kCount>
ASSAY_DEVICE void store_part(const AnyOutput& out, std::int64_t i, const float (&x)[kCount]) {
  if constexpr (kCount == 1) {
    out.store(i, x[0]);
  } else {
    out.store(i, x);
  }
}

// c = w⊙g, kCount elements from element w_at of w and g_at of g on; an absent g is all ones.
template <int kCount>
ASSAY_DEVICE void load_weights(const AnyInput& w, std::int64_t w_at, const AnyInput& g,
                               std::int64_t g_at, float (&c)[kCount]) {
  load_part(w, w_at, c);
  if (!g.present()) return;
  float scale[kCount];
  load_part(g, g_at, scale);
  ASSAY_UNROLL
  for (int j = 0; j < kCount; ++j) c[j] *= scale[j];
}

// Where both have rows in the same places.
template <int kCount>
ASSAY_DEVICE void load_weights(const AnyInput& w, const AnyInput& g, std::int64_t i,
                               float (&c)[kCount]) {
  load_weights(w, i, g, i, c);
}

// A tensor as kernels take it; an absent one.
inline AnyInput input(const Buffers& buffers, std::string_view name) {
  const TensorView* view = buffers.find(name);
  return view ? AnyInput{view->data, view->spec.dtype} : AnyInput{};
}

inline AnyOutput output(const Buffers& buffers, std::string_view name) {
  const TensorView* view = buffers.find(name);
  return view ? AnyOutput{view->data, view->spec.dtype} : AnyOutput{};
}

// From one row of a tensor to the next, in elements; 0 for one that is absent. Rows of all
// other axes follow each other at that distance, too.
inline std::int64_t row_pitch(const Buffers& buffers, std::string_view name) {
  const TensorView* view = buffers.find(name);
  return view ? view->spec.row_offset(1) : 0;
}

inline bool is_vector_aligned(const void* data) {
  return reinterpret_cast<std::uintptr_t>(data) % sizeof(Vector) == 0;
}

inline std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }
inline std::int64_t round_up(std::int64_t a, std::int64_t b) { return ceil_div(a, b) * b; }

// The roundings that a term meets in a sum over `dim` elements of a row by `threads` threads and
// block_sum: those of the thread's own running sum, then two trees.
inline double block_sum_height(std::int64_t dim, DType dtype, int threads) {
  const std::int64_t vector = dtype == DType::f32 ? 4 : 8;
  const std::int64_t own = ceil_div(dim, threads * vector) * vector;
  return height(own + 10, 1);
}

}  // namespace assay::ASSAY_TWIN
