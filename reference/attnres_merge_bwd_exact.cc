// Inputs of attnres_merge_bwd for which every bit of all outputs is known, whatever the order of
// the arithmetic: atomics may add up dw. Compiled with -ffp-contract=off.
//
// P has ±1 everywhere, D is a power of two and eps 0: r = 1. c is ±512 in the first and the last
// column, 0 elsewhere; where the two cancel the logit is exactly 0, else ±1024. By turns a token
// has l = 0 beside an L1 of 0 (β is exactly 1/2), of 1000 (β = 0) or of -1000 (β = 1), or l = ±1024
// beside an L1 of 0. O1 is P with the other sign in up to 8 columns, dH are integers in ±4, dLSE in
// ±15: so z, with up to 8 products of 8, and ⟨dH, P⟩, up to 4D, are even integers or such, and dl
// is a multiple of 1/2 of at most 7 bits: exact also where coefficients are rounded to 16 bits. dl
// l r² / D is 0, or dl times a power of two. dP, dL1 and X are then sums of dyadic terms that fit
// fp32. What is rounded is the result, once. With g, half of the columns have w = 0 and the others
// g = 0, outside the first and the last.
#include <algorithm>
#include <cmath>

#include "reference/attnres_inputs.h"
#include "reference/attnres_merge_bwd_contract.h"
#include "reference/families.h"

namespace assay::attnres_merge_bwd_contract {
namespace {

using attnres_inputs::kG;
using attnres_inputs::kPlace;
using attnres_inputs::kV;
using attnres_inputs::kW;

constexpr float kKey = 512;
constexpr std::int64_t kFlips = 8;
// So many dl, of up to 2^5 in steps of 1/2, fit 24 bits.
constexpr std::int64_t kMostTokens = 1 << 18;

enum class Kind : std::uint8_t { tie, only_o1, only_p, logit_up, logit_down };
Kind kind_of(std::uint64_t seed, std::int64_t t) {
  return static_cast<Kind>((static_cast<std::uint64_t>(t) + seed) % 5);
}

float sign(std::uint32_t word) { return (word >> 31) != 0 ? -1.0f : 1.0f; }
// Of c in a key column.
float key_sign(std::uint64_t seed, std::int64_t d) { return sign(random_word({seed, kPlace}, d)); }

void fill_weights(const Problem& problem, std::uint64_t seed, const Tensors& inputs) {
  const std::int64_t dim = problem.dim("D");
  const TensorView* const g_tensor = inputs.find("g");
  std::vector<float> w(static_cast<std::size_t>(dim)), g(w.size());
  for (std::int64_t d = 0; d < dim; ++d) {
    const auto at = static_cast<std::size_t>(d);
    if (d == 0 || d == dim - 1) {
      g[at] = g_tensor ? std::ldexp(1.0f, integer({seed, kW}, d, -1, 1)) : 1;
      w[at] = key_sign(seed, d) * kKey / g[at];
      continue;
    }
    const bool zero_weight = !g_tensor || random_word({seed, kG}, d) % 2 == 0;
    w[at] = zero_weight ? 0 : 0.75f;
    g[at] = zero_weight ? 1.5f : 0;
  }
  store_floats(inputs["w"], w);
  if (g_tensor) store_floats(*g_tensor, g);
}

// P, the same numbers whatever is done with them.
void fill_signs(const Problem& problem, std::uint64_t seed, const TensorView& tensor,
                const EditRow& edit) {
  const std::int64_t dim = problem.dim("D");
  fill_edited(tensor, {seed, kV}, [&](std::int64_t t, float* values) {
    for (std::int64_t d = 0; d < dim; ++d) values[d] = std::copysign(1.0f, values[d]);
    const Kind kind = kind_of(seed, t);
    const float first = kind == Kind::logit_up     ? 1.0f
                        : kind == Kind::logit_down ? -1.0f
                                                   : sign(random_word({seed, kPlace + 1}, t));
    const float last = kind == Kind::logit_up || kind == Kind::logit_down ? first : -first;
    values[0] = first * key_sign(seed, 0);
    values[dim - 1] = last * key_sign(seed, dim - 1);
    edit(t, values);
  });
}

// Integers in ±largest.
void fill_integers(const TensorView& tensor, RandomSequence sequence, int largest) {
  fill_edited(tensor, sequence, [&](std::int64_t, float* values) {
    for (std::int64_t d = 0; d < tensor.spec.shape.back(); ++d) {
      const float bounded = std::clamp(values[d], -3.99f, 3.99f);
      values[d] =
          std::copysign(std::ceil(std::abs(bounded) / 4 * static_cast<float>(largest)), values[d]);
    }
  });
}

void fill_exact(const Problem& problem, std::uint64_t seed, const Tensors& inputs) {
  const Size size(problem);
  fill_weights(problem, seed, inputs);
  fill_signs(problem, seed, inputs["P"], [](std::int64_t, float*) {});
  fill_signs(problem, seed, inputs["O1"], [&](std::int64_t t, float* values) {
    for (std::int64_t i = 0; i < kFlips; ++i) {
      const auto at = random_word({seed, kPlace + 2}, kFlips * t + i);
      float& value = values[static_cast<std::int64_t>(at) % size.dim];
      value = -value;
    }
  });
  std::vector<float> l1(static_cast<std::size_t>(size.tokens));
  for (std::int64_t t = 0; t < size.tokens; ++t) {
    const Kind kind = kind_of(seed, t);
    l1[static_cast<std::size_t>(t)] = kind == Kind::only_o1  ? 1000.0f
                                      : kind == Kind::only_p ? -1000.0f
                                                             : 0.0f;
  }
  store_floats(inputs["L1"], l1);
  const std::uint64_t stream = kCotangents.first_stream;
  fill_integers(inputs["dH"], {seed, stream}, 4);
  if (const TensorView* d_lse = inputs.find("dLSE")) fill_integers(*d_lse, {seed, stream + 1}, 15);
  if (const TensorView* given = inputs.find("dP")) fill_integers(*given, {seed, stream + 2}, 64);
}

std::string exact_inapplicable(const Problem& problem) {
  const std::int64_t dim = problem.dim("D");
  if (problem.real("eps") != 0) return "eps is not 0: r is not exactly 1";
  if (dim < 2 || (dim & (dim - 1)) != 0 || dim > 1 << 20)
    return "D is not a power of two from 2 to 2^20";
  if (problem.dim("T") > kMostTokens) return "sums over so many tokens may not fit fp32";
  return "";
}

}  // namespace

Family exact_family() {
  return {.name = "exact",
          .meaning = "P of ±1, weights of 0, 1/2 and 1: all terms are dyadic, added in any order",
          .fill = fill_exact,
          .inapplicable = exact_inapplicable,
          .exact = {"dP", "dO1", "dL1", "dw", "dg"}};
}

}  // namespace assay::attnres_merge_bwd_contract
