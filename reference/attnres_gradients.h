// Terms that the bounds of the backward ops share: the coefficients that ds makes of rows of c and
// v, and which roundings count. reference/attnres_bwd.h derives them.
#pragma once

#include <Eigen/Core>
#include <cstdint>

#include "reference/attnres_logits.h"

namespace assay::attnres_gradients {

using attnres_numerics::Row;

// How many of n roundings add up: all of them, or, typically, min(n, 4 + √n). (Those that cut off
// all do: where the mix truncates, typical is the worst.)
enum class Roundings : std::uint8_t { worst, typical };
double counted(double roundings, const Numerics& numerics, Roundings which);

// χ: relative error of a sum of 3Q terms in dV.
double chain(std::int64_t queries, const Numerics& numerics);

// A coefficient that is rounded as declared before it multiplies a row: its error.
Row coefficient_error(const Numerics& numerics, const Row& size, const Row& error);

// Of the rows of one token, for one query: k = ds r multiplies c in dV and v in X, p = ds l r² / D
// multiplies v in dV. A rate is what the bound of dV has for each unit of |c| or |v|, `floor` what
// it has besides.
struct KeyCoefficients {
  Row k, k_error, k_rate, p, p_rate, floor;
};
KeyCoefficients key_coefficients(const Numerics& numerics, double chain, double dim, const Row& r,
                                 const Row& l, const Row& l_error, const Row& ds,
                                 const Row& ds_error);

}  // namespace assay::attnres_gradients
