// What multiplies rows of dO, c and V in one token, and how wrong that may be: the part of the
// bound that reference/attnres_bwd.h derives before it comes to columns.
#pragma once

#include <Eigen/Core>
#include <cstdint>

#include "reference/attnres_bwd_contract.h"
#include "reference/attnres_gradients.h"
#include "reference/attnres_weight_gradient.h"

namespace assay::attnres_bwd_contract {

using attnres_gradients::Roundings;
using attnres_gradients::Table;
using attnres_numerics::Row;

// Sums over D of one token. Rows [0, Q) are those of c, the others of dO.
struct TokenProducts {
  const Row& square;     // (N) = Σ_d v²
  const Table& dot;      // (2Q, N) = Σ_d c v and Σ_d dO v
  const Table& abs_dot;  // (2Q, N), of the magnitudes
  const Row& d_lse;      // (Q)
};

// Written anew for each token. The tables are (Q, N), of row-major storage; rows have one value a
// source. The names are those of loops::Coefficients.
class Coefficients {
 public:
  explicit Coefficients(const Size& size);
  void find(const Numerics& numerics, double eps, const TokenProducts& products,
            Roundings roundings = Roundings::worst);

  Table alpha, k, alpha_rate, k_rate, x_rate, x_size;
  Row p, p_rate, floor;

 private:
  Size size_;
};

}  // namespace assay::attnres_bwd_contract
