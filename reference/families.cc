// Filling tensors with random values. Compiled with -ffp-contract=off: contents must not depend on
// whether a machine has a fused multiply-add.
#include "reference/families.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
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

struct Dot {
  static constexpr int kSums = 8;
  template <Isa>
  static ASSAY_INLINE void run(const float* a, const float* b, std::int64_t count, double* total) {
    using Floats = simd_vector<float, kSums>;
    using Doubles = simd_vector<double, kSums>;
    Doubles sums = {};
    std::int64_t i = 0;
    for (; i + kSums <= count; i += kSums) {
      Floats x, y;
      std::memcpy(&x, a + i, sizeof x);
      std::memcpy(&y, b + i, sizeof y);
      sums += __builtin_convertvector(x, Doubles) * __builtin_convertvector(y, Doubles);
    }
    for (int lane = 0; i < count; ++i, ++lane)
      sums[lane] += static_cast<double>(a[i]) * static_cast<double>(b[i]);
    *total = 0;
    for (int lane = 0; lane < kSums; ++lane) *total += sums[lane];
  }
};

struct Combine {
  template <Isa>
  static ASSAY_INLINE void run(float* a, float alpha, const float* b, float beta,
                               std::int64_t count) {
    for (std::int64_t i = 0; i < count; ++i) a[i] = alpha * a[i] + beta * b[i];
  }
};

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

void fill_edited(const TensorView& tensor, RandomSequence sequence, const EditRow& edit,
                 const std::function<std::int64_t(std::int64_t)>& drawn) {
  const std::int64_t dim = tensor.spec.shape.back(), rows = tensor.spec.elements() / dim;
  // Several short rows are drawn at once where they follow each other.
  const std::int64_t batch = drawn ? 1 : std::max<std::int64_t>(1, kChunk / dim);
  std::vector<std::vector<float>> buffers(
      static_cast<std::size_t>(num_threads()),
      std::vector<float>(static_cast<std::size_t>(batch * dim)));
  dispatch(tensor.spec.dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    T* const out = tensor.as<T>();
    parallel_for(rows, batch, [&](std::int64_t begin, std::int64_t end, int part) {
      float* const values = buffers[static_cast<std::size_t>(part)].data();
      for (std::int64_t row = begin; row < end; row += batch) {
        const std::int64_t count = std::min(batch, end - row);
        random_gaussian(sequence, (drawn ? drawn(row) : row) * dim, count * dim, values);
        for (std::int64_t i = 0; i < count; ++i) edit(row + i, values + i * dim);
        run_simd<ScaleAndStore<T>>(static_cast<const float*>(values), count * dim, 1.0f, 0.0f,
                                   out + row * dim);
      }
    });
  });
}

void fill_signed(const TensorView& tensor, RandomSequence sequence, float scale) {
  const auto draw = [sequence](std::int64_t first, std::int64_t count, float* out) {
    random_uniform(sequence, first, count, out);
    for (std::int64_t i = 0; i < count; ++i) {
      const float x = 2 * out[i] - 1;  // sign and magnitude in one
      out[i] = std::copysign(0.5f + 1.5f * std::abs(x), x);
    }
  };
  fill(tensor, draw, 0.0f, [scale](std::int64_t) { return scale; });
}

std::vector<float> load_floats(const TensorView& tensor) {
  std::vector<float> values(static_cast<std::size_t>(tensor.spec.elements()));
  dispatch(tensor.spec.dtype, [&](auto type) {
    const auto* from = tensor.as<typename decltype(type)::type>();
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = to_float(from[i]);
  });
  return values;
}

void store_floats(const TensorView& tensor, const std::vector<float>& values) {
  dispatch(tensor.spec.dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    for (std::size_t i = 0; i < values.size(); ++i) tensor.as<T>()[i] = narrow<T>(values[i]);
  });
}

std::uint32_t random_word(RandomSequence sequence, std::int64_t index) {
  std::uint32_t bits = 0;
  random_bits(sequence, index, 1, &bits);
  return bits;
}

float uniform(RandomSequence sequence, std::int64_t index) {
  float value = 0;
  random_uniform(sequence, index, 1, &value);
  return value;
}

int integer(RandomSequence sequence, std::int64_t index, int low, int high) {
  const std::int64_t choices = std::int64_t{high} - low + 1;
  return low + static_cast<int>(choices * random_word(sequence, index) >> 32);
}

std::int64_t rotating_column(std::int64_t i, std::int64_t dim) {
  if (i % 2 == 0) {
    const std::int64_t j = i / 2 % std::min<std::int64_t>(dim, 64);
    return j % 2 == 0 ? dim - 1 - j / 2 : j / 2;
  }
  std::int64_t step = std::max<std::int64_t>(1, dim * 5 / 8);
  while (std::gcd(step, dim) != 1) ++step;
  return i / 2 % dim * step % dim;
}

double dot(const float* a, const float* b, std::int64_t count) {
  double total = 0;
  run_simd<Dot>(a, b, count, &total);
  return total;
}

void combine(float* a, float alpha, const float* b, float beta, std::int64_t count) {
  run_simd<Combine>(a, alpha, b, beta, count);
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
