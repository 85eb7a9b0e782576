// Filling tensors with random values. Compiled with -ffp-contract=off: contents must not depend on
// whether a machine has a fused multiply-add.
#include "reference/families.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "harness/core/convert.h"
#include "harness/core/parallel.h"

namespace assay {
namespace {

constexpr std::int64_t kChunk = 1024;  // values between generator and memory: 4 KiB of L1
constexpr int kMaxOffset = 6;          // octaves of a row from its group's centre

template <class T>
struct ScaleAndStore {
  template <Isa>
  static ASSAY_INLINE void run(const float* values, std::int64_t count, float scale, float mean,
                               T* out) {
    for (std::int64_t i = 0; i < count; ++i) out[i] = narrow<T>(mean + scale * values[i]);
  }
};

// out[i] = mean + scale(row of i) · draw(i).
template <class Draw, class Scale>
void fill(const TensorView& tensor, const Draw& draw, float mean, const Scale& scale) {
  const std::int64_t dim = tensor.spec.shape.back();
  dispatch(tensor.spec.dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    T* const out = tensor.as<T>();
    parallel_for(tensor.spec.elements(), kChunk, [&](std::int64_t begin, std::int64_t end) {
      float values[kChunk];
      std::int64_t row = -1;
      float row_scale = 0;
      for (std::int64_t chunk = begin; chunk < end; chunk += kChunk) {
        const std::int64_t chunk_end = std::min(chunk + kChunk, end);
        draw(chunk, chunk_end - chunk, values);
        for (std::int64_t i = chunk; i < chunk_end;) {
          if (i / dim != row) row_scale = scale(row = i / dim);
          const std::int64_t count = std::min(chunk_end, (row + 1) * dim) - i;
          run_simd<ScaleAndStore<T>>(static_cast<const float*>(values + (i - chunk)), count,
                                     row_scale, mean, out + i);
          i += count;
        }
      }
    });
  });
}

auto gaussian(RandomSequence sequence) {
  return [sequence](std::int64_t first, std::int64_t count, float* out) {
    random_gaussian(sequence, first, count, out);
  };
}

// The value `index` of a sequence as an integer in [low, high].
int integer(RandomSequence sequence, std::int64_t index, int low, int high) {
  std::uint32_t bits = 0;
  random_bits(sequence, index, 1, &bits);
  const std::int64_t choices = std::int64_t{high} - low + 1;
  return low + static_cast<int>(choices * bits >> 32);
}

}  // namespace

Family gaussian_family(Fill fill) {
  return {.name = kGaussian,
          .meaning = "unit variance; weights that make neither flat nor one-hot softmaxes",
          .fill = std::move(fill)};
}

Family spread_family(Fill fill) {
  return {.name = kSpread,
          .meaning =
              "scales of rows many octaves apart, so that eps decides in some; random signed "
              "weights",
          .fill = std::move(fill)};
}

void fill_gaussian(const TensorView& tensor, RandomSequence sequence, float deviation, float mean) {
  fill(tensor, gaussian(sequence), mean, [deviation](std::int64_t) { return deviation; });
}

void fill_rows(const TensorView& tensor, RandomSequence sequence,
               const std::function<float(std::int64_t)>& scale) {
  fill(tensor, gaussian(sequence), 0.0f, scale);
}

void fill_signed(const TensorView& tensor, RandomSequence sequence) {
  const auto draw = [sequence](std::int64_t first, std::int64_t count, float* out) {
    random_uniform(sequence, first, count, out);
    for (std::int64_t i = 0; i < count; ++i) {
      const float x = 2 * out[i] - 1;  // sign and magnitude in one
      out[i] = std::copysign(0.5f + 1.5f * std::abs(x), x);
    }
  };
  fill(tensor, draw, 0.0f, [](std::int64_t) { return 1.0f; });
}

SpreadScale::SpreadScale(RandomSequence sequence, DType dtype, double eps)
    : groups_{sequence.seed, 2 * sequence.stream}, rows_{sequence.seed, 2 * sequence.stream + 1} {
  low_ = (dtype == DType::f16 ? -16 : -30) + kMaxOffset;
  high_ = (dtype == DType::f16 ? 10 : 30) - kMaxOffset;
  const int root = eps > 0 ? std::ilogb(eps) / 2 : low_;
  special_ = std::clamp(root, low_, high_);
}

float SpreadScale::operator()(std::int64_t group, std::int64_t row) const {
  const int centre = group % 8 == 0 ? special_ : integer(groups_, group, low_, high_);
  const int offset = integer(rows_, 2 * row, -kMaxOffset, kMaxOffset);
  float mantissa = 0;
  random_uniform(rows_, 2 * row + 1, 1, &mantissa);
  return std::ldexp(1 + mantissa, centre + offset);
}

}  // namespace assay
