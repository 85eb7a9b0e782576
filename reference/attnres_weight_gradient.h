// X (rows, D), a sum over tokens, with what its bound is made of, and dw = g⊙X, dg = w⊙X with
// theirs. reference/attnres_bwd.h derives it.
#pragma once

#include <Eigen/Core>
#include <cstdint>
#include <vector>

#include "harness/core/op.h"
#include "reference/attnres_bwd_loops.h"

namespace assay::attnres_gradients {

using Table = Eigen::Array<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

// Sums over tokens are made in at most as many parts, whatever the number of threads: the same
// values on every machine.
inline constexpr std::int64_t kParts = 64;

// What is added up for one element of X.
struct Summed {
  std::int64_t tokens, terms;  // terms: tokens, times the sources of each
};

class WeightSums {
 public:
  WeightSums(std::int64_t rows, std::int64_t dim);

  attnres_reference::TokenSums targets();
  void operator+=(const WeightSums& other) { table_ += other.table_; }
  // weights⊙X; no weights: ones. random_signs: that of the family (harness/core/op.h).
  Expected gradient(const char* name, const Summed& summed, const Numerics& numerics,
                    bool random_signs, const std::vector<float>& weights) const;

 private:
  std::int64_t rows_, dim_;
  Table table_;  // (5 rows, padded D): X, Σ b, Σ b̃², Σ m, Σ m²
};

}  // namespace assay::attnres_gradients
