#include "reference/attnres_weight_gradient.h"

#include <algorithm>
#include <cmath>

#include "reference/attnres_numerics.h"

namespace assay::attnres_gradients {

using attnres_numerics::half_subnormal;
using attnres_numerics::kUnderflow;
using attnres_numerics::rounding;

WeightSums::WeightSums(std::int64_t rows, std::int64_t dim)
    : rows_(rows), dim_(dim), table_(Table::Zero(5 * rows, attnres_reference::padded(dim))) {}

attnres_reference::TokenSums WeightSums::targets() {
  const std::int64_t step = rows_ * table_.cols();
  double* const x = table_.data();
  return {x, x + step, x + 2 * step, x + 3 * step, x + 4 * step};
}

Expected WeightSums::gradient(const char* name, const Summed& summed, const Numerics& numerics,
                              bool random_signs, const std::vector<float>& weights) const {
  const double u = unit_roundoff(numerics.accumulate), height = numerics.batch_height,
               deviations = numerics.truncates_mix ? 12 * height : 18 * std::sqrt(height),
               up = rounding(numerics.partials),
               lost = static_cast<double>(summed.tokens) * half_subnormal(numerics.partials) +
                      static_cast<double>(summed.terms) * kUnderflow;
  Expected expected(name, rows_ * dim_);
  for (std::int64_t row = 0; row < rows_; ++row) {
    for (std::int64_t d = 0; d < dim_; ++d) {
      const auto sum = [&](std::int64_t which) { return table_(which * rows_ + row, d); };
      const double x = sum(0), m = sum(3);
      double local = sum(1), added = height * m;
      if (random_signs) {
        local = std::min(local, 6 * std::sqrt(sum(2)));
        added = std::min(added, deviations * std::sqrt(sum(4)));
      }
      const double bound = local + u * added + up * m + lost;
      const auto at = static_cast<std::size_t>(row * dim_ + d);
      const double weight = weights.empty() ? 1.0 : static_cast<double>(weights[at]);
      expected.value[at] = weight * x;
      expected.bound[at] = std::abs(weight) * (bound + 2 * u * std::abs(x)) + kUnderflow;
    }
  }
  return expected;
}

}  // namespace assay::attnres_gradients
