// Inputs of attnres_bwd for which every bit of all outputs is known, whatever the order of the
// arithmetic: atomics may add up dw. Compiled with -ffp-contract=off.
//
// V has ±1 everywhere, D is a power of two and eps 0: r = 1. c is ±512 in two key columns of a
// class of queries, 0 elsewhere; a source in whose row the two cancel has a logit of exactly 0 and
// wins, the others have -1024 and weigh 0 in fp32 and in fp64. One or two win, so α is 1 or 1/2 as
// e^0 / 1 or e^0 / 2, or as 2^-log₂ 2. (In base e, exp(0 - LSE) is not: kernels must divide, or
// take base 2.) The rows of a token differ from each other in the key columns and 8 more, dO are
// integers in ±4, dLSE in ±15: so a, up to 4D, is an integer, and ds = α (a - δ + dLSE) one of 7
// bits, or half of one: also exact where coefficients are rounded to 16 bits. dV and X are then
// sums of multiples of 1/2 that fit fp32. What is rounded is the result, once. With g, half of the
// columns have w = 0 and the others g = 0, outside the keys. Winners have l = 0: the projection
// term is 0 here.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "reference/attnres_bwd_contract.h"
#include "reference/attnres_inputs.h"
#include "reference/families.h"

namespace assay::attnres_bwd_contract {
namespace {

using attnres_inputs::kG;
using attnres_inputs::kPlace;
using attnres_inputs::kTarget;
using attnres_inputs::kV;
using attnres_inputs::kW;

constexpr float kKey = 512;
constexpr std::int64_t kFlips = 8;
constexpr std::int64_t kMostTokens = 1 << 20;

struct Layout {
  std::int64_t classes;  // of queries: q % classes

  explicit Layout(const Size& size)
      : classes(std::min({size.queries, std::int64_t{4}, size.dim / 2})) {}

  // The two key columns of a class: at the two ends of D.
  static std::int64_t first(std::int64_t of_class) { return of_class; }
  static std::int64_t last(const Size& size, std::int64_t of_class) {
    return size.dim - 1 - of_class;
  }
};

std::int64_t below(RandomSequence sequence, std::int64_t index, std::int64_t end) {
  return static_cast<std::int64_t>(random_word(sequence, index)) % end;
}

float sign(std::uint32_t word) { return (word >> 31) != 0 ? -1.0f : 1.0f; }

// Every other token has one winner, the others two (if there are two sources).
bool wins(const Size& size, std::uint64_t seed, std::int64_t n, std::int64_t t,
          std::int64_t of_class) {
  const std::int64_t at = 8 * t + 2 * of_class;
  const std::int64_t one = below({seed, kTarget}, at, size.sources);
  if (n == one) return true;
  if (size.sources < 2 || (t + of_class) % 2 == 0) return false;
  return n == (one + 1 + below({seed, kTarget}, at + 1, size.sources - 1)) % size.sources;
}

// -1 or 1: the sign of c in a key column.
float key_sign(std::uint64_t seed, std::int64_t d) { return sign(random_word({seed, kPlace}, d)); }

void fill_weights(const Size& size, std::uint64_t seed, const Tensors& inputs) {
  const Layout layout(size);
  const TensorView* const g_tensor = inputs.find("g");
  std::vector<float> w(static_cast<std::size_t>(size.queries * size.dim)), g(w.size());
  for (std::int64_t q = 0; q < size.queries; ++q) {
    for (std::int64_t d = 0; d < size.dim; ++d) {
      const auto at = static_cast<std::size_t>(q * size.dim + d);
      const bool zero_weight = !g_tensor || random_word({seed, kG}, q * size.dim + d) % 2 == 0;
      w[at] = zero_weight ? 0 : 0.75f;
      g[at] = zero_weight ? 1.5f : 0;
    }
    for (const std::int64_t d :
         {Layout::first(q % layout.classes), Layout::last(size, q % layout.classes)}) {
      const auto at = static_cast<std::size_t>(q * size.dim + d);
      g[at] = g_tensor ? std::ldexp(1.0f, integer({seed, kW}, q * size.dim + d, -1, 1)) : 1;
      w[at] = key_sign(seed, d) * kKey / g[at];
    }
  }
  store_floats(inputs["w"], w);
  if (g_tensor) store_floats(*g_tensor, g);
}

void fill_values(const Size& size, std::uint64_t seed, const Tensors& inputs) {
  const Layout layout(size);
  // Gaussians of the token's first row: their signs are what its rows have in common.
  fill_edited(
      inputs["V"], {seed, kV},
      [&](std::int64_t row, float* values) {
        const std::int64_t n = row / size.tokens, t = row % size.tokens;
        for (std::int64_t d = 0; d < size.dim; ++d) values[d] = std::copysign(1.0f, values[d]);
        for (std::int64_t i = 0; i < kFlips; ++i) {
          float& value = values[below({seed, kDPlace}, kFlips * row + i, size.dim)];
          value = -value;
        }
        for (std::int64_t j = 0; j < layout.classes; ++j) {
          const std::int64_t first = Layout::first(j), last = Layout::last(size, j);
          const float side =
              wins(size, seed, n, t, j) ? sign(random_word({seed, kDPlace + 1}, row)) : -1.0f;
          values[first] = side * key_sign(seed, first);
          values[last] = (wins(size, seed, n, t, j) ? -side : -1.0f) * key_sign(seed, last);
        }
      },
      [&](std::int64_t row) { return row % size.tokens; });
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
  fill_weights(size, seed, inputs);
  fill_values(size, seed, inputs);
  fill_integers(inputs["dO"], {seed, kDO}, 4);
  if (const TensorView* d_lse = inputs.find("dLSE")) fill_integers(*d_lse, {seed, kDLse}, 15);
  if (const TensorView* given = inputs.find("dV")) fill_integers(*given, {seed, kGiven}, 64);
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
          .meaning = "rows of ±1, weights of 1 and 1/2: all terms are dyadic, added in any order",
          .fill = fill_exact,
          .inapplicable = exact_inapplicable,
          .exact = {"dV", "dw", "dg"}};
}

}  // namespace assay::attnres_bwd_contract
