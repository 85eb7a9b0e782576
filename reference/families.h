// The input families that ops share, as ways of filling one tensor. Every value is a function of
// (seed, stream, its flat index) and is rounded once to the stored dtype, so contents are the same
// on every machine and for every thread count. Parallel over the tensor; the tensor is contiguous
// in host memory.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "harness/core/op.h"
#include "harness/core/random.h"
#include "harness/core/tensor.h"

namespace assay {

// Unit variance everywhere: the inputs of a network in good health.
inline constexpr const char* kGaussian = "gaussian";
// Rows whose scales lie many octaves apart: what is added to a norm decides in some rows and
// vanishes in others.
inline constexpr const char* kSpread = "spread";

using Fill = std::function<void(const Problem&, std::uint64_t seed, const Tensors& inputs)>;

Family gaussian_family(Fill fill);
Family spread_family(Fill fill);

// mean + deviation · N(0, 1).
void fill_gaussian(const TensorView& tensor, RandomSequence sequence, float deviation,
                   float mean = 0);

// scale(row) · N(0, 1), where a row is all that shares every index but the last.
void fill_rows(const TensorView& tensor, RandomSequence sequence,
               const std::function<float(std::int64_t row)>& scale);

// Row `row` of N(0, 1) numbers, those that fill_gaussian gives to row `drawn(row)`, then changed in
// place by `edit` and rounded. Both are called from several threads, and must not throw.
using EditRow = std::function<void(std::int64_t row, float* values)>;
void fill_edited(const TensorView& tensor, RandomSequence sequence, const EditRow& edit,
                 const std::function<std::int64_t(std::int64_t row)>& drawn = {});

// A random sign times a magnitude uniform in [1/2, 2]: no weight is near 0 or may be taken for 1.
void fill_signed(const TensorView& tensor, RandomSequence sequence, float scale = 1);

// Small tensors, on one thread.
std::vector<float> load_floats(const TensorView& tensor);
void store_floats(const TensorView& tensor, const std::vector<float>& values);

// Value `index` of a sequence: 32 random bits; a multiple of 2^-24 in [0, 1); an integer in
// [low, high].
std::uint32_t random_word(RandomSequence sequence, std::int64_t index);
float uniform(RandomSequence sequence, std::int64_t index);
int integer(RandomSequence sequence, std::int64_t index, int low, int high);

// The column of [0, dim) that is special in the i-th row: by turns columns inwards from both ends
// of D, and strides through all of it.
std::int64_t rotating_column(std::int64_t i, std::int64_t dim);

// Σ a b in fp64, in eight sums whatever the machine: the same bits everywhere.
double dot(const float* a, const float* b, std::int64_t count);

// a := alpha · a + beta · b.
void combine(float* a, float alpha, const float* b, float beta, std::int64_t count);

// Scales for the rows of `spread`: m · 2^(centre + offset), m uniform in [1, 2). The centre belongs
// to a group of rows (a token: rows that are mixed with each other), and every eighth group from
// the first on is centred where the square of a value is about `eps`; the others lie anywhere in
// the range. The offset is a row's own, within 6 octaves either way. The range leaves room for 7
// standard deviations at its top, for squares in fp32, and, with f16, for 8 significant bits
// (subnormal) at its bottom: 2^±30 for f32 and bf16, 2^-16 to 2^10 for f16.
class SpreadScale {
 public:
  SpreadScale(RandomSequence sequence, DType dtype, double eps);
  float operator()(std::int64_t group, std::int64_t row) const;

 private:
  RandomSequence groups_, rows_;
  int low_, high_, special_;  // exponents of centres
};

}  // namespace assay
