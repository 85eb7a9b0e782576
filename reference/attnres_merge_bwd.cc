// The contract of attnres_merge_bwd: dims, tensors, options, inputs, cost, and the fp64 reference
// with its bounds. The header has the formulas.
#include "reference/attnres_merge_bwd.h"

#include <cmath>
#include <string>
#include <vector>

#include "harness/core/parallel.h"
#include "harness/core/registry.h"
#include "reference/attnres_merge_bwd_coefficients.h"
#include "reference/attnres_merge_bwd_contract.h"
#include "reference/attnres_weight_gradient.h"
#include "reference/families.h"

namespace assay {
namespace {

namespace loops = attnres_reference;
using attnres_gradients::kParts;
using attnres_gradients::Roundings;
using attnres_gradients::Table;
using attnres_gradients::WeightSums;
using attnres_merge_bwd_contract::Coefficients;
using attnres_merge_bwd_contract::Size;
using attnres_merge_bwd_contract::TokenProducts;
using attnres_numerics::kUnderflow;

// The inputs of a problem as the loops want them.
struct Arguments {
  Size size;
  Numerics numerics;
  double eps;
  std::vector<double> c;         // w⊙g (D)
  TensorView p, o1, d_h;         // (T, D)
  std::vector<float> l1, d_lse;  // (T); d_lse may be empty: zeros
  const TensorView* given;       // dP as it was, or null

  double lse_cotangent(std::int64_t token) const {
    return d_lse.empty() ? 0.0 : static_cast<double>(d_lse[static_cast<std::size_t>(token)]);
  }
};

// Computes tokens one after the other, with its own scratch memory: one per part. T: P's dtype.
template <class T>
class Worker {
 public:
  explicit Worker(const Arguments& arguments)
      : a_(arguments),
        rows_(Table::Zero(2, loops::padded(a_.size.dim))),
        block_(static_cast<std::size_t>(loops::kBlock)),
        sums_(1, a_.size.dim) {
    for (std::int64_t d = 0; d < a_.size.dim; ++d) rows_(0, d) = a_.c[static_cast<std::size_t>(d)];
    abs_rows_ = rows_.abs();
  }

  void run(std::int64_t token, const ExpectedSlice& d_p, const ExpectedSlice& d_o1,
           const ExpectedSlice& d_l1) {
    const std::int64_t dim = a_.size.dim, begin = token * dim;
    load_cotangent(begin);
    const loops::Token<T> inputs{
        a_.p.as<const T>() + begin, 0, 1, 2, dim, rows_.data(), abs_rows_.data()};
    const TokenProducts products = score(token, inputs);
    const double size = static_cast<double>(dim);
    const Coefficients found = attnres_merge_bwd_contract::coefficients(a_.numerics, a_.eps, size,
                                                                        products),
                       typical = attnres_merge_bwd_contract::coefficients(
                           a_.numerics, a_.eps, size, products, Roundings::typical);
    const loops::Coefficients of{&found.beta,     &found.k,      &found.p,     &found.beta_rate,
                                 &found.k_rate,   &found.p_rate, &found.floor, &found.x_rate,
                                 &typical.x_rate, &found.x_size};
    const loops::GradientTargets targets{d_p.value, d_p.bound, 0, sums_.targets(), block_.data()};
    run_simd<loops::Gradients<T>>(&inputs, std::int64_t{1}, &of, &targets);
    for (std::int64_t d = 0; d < dim; ++d) {
      const double magnitude = abs_rows_(1, d);
      d_o1.value[d] = found.rest * rows_(1, d);
      d_o1.bound[d] = found.rest_rate * magnitude + kUnderflow * (1 + magnitude);
    }
    *d_l1.value = found.d_l1;
    *d_l1.bound = found.d_l1_bound;
    if (a_.given) add_given(begin, d_p);
  }

  const WeightSums& sums() const { return sums_; }

 private:
  void load_cotangent(std::int64_t begin) {
    dispatch(a_.d_h.spec.dtype, [&](auto type) {
      const auto* from = a_.d_h.as<const typename decltype(type)::type>() + begin;
      for (std::int64_t d = 0; d < a_.size.dim; ++d) {
        rows_(1, d) = widen(from[d]);
        abs_rows_(1, d) = std::abs(rows_(1, d));
      }
    });
  }

  TokenProducts score(std::int64_t token, const loops::Token<T>& inputs) const {
    const std::int64_t dim = a_.size.dim;
    TokenProducts of = {};
    double dots[2], abs_dots[2], other_square = 0;
    run_simd<loops::Scores<T>>(&inputs, &of.square, dots, abs_dots);
    of.score = dots[0];
    of.abs_score = abs_dots[0];
    of.gain = dots[1];
    of.abs_gain = abs_dots[1];
    dispatch(a_.o1.spec.dtype, [&](auto type) {
      using Other = typename decltype(type)::type;
      const loops::Token<Other> other{
          a_.o1.as<const Other>() + token * dim, 0, 1, 1, dim, rows_.data() + rows_.cols(),
          abs_rows_.data() + rows_.cols()};
      run_simd<loops::Scores<Other>>(&other, &other_square, &of.other_gain, &of.abs_of_other);
    });
    of.l1 = static_cast<double>(a_.l1[static_cast<std::size_t>(token)]);
    of.d_lse = a_.lse_cotangent(token);
    return of;
  }

  void add_given(std::int64_t begin, const ExpectedSlice& d_p) {
    const double chi = attnres_gradients::chain(1, a_.numerics);
    dispatch(a_.given->spec.dtype, [&](auto type) {
      const auto* from = a_.given->as<const typename decltype(type)::type>() + begin;
      for (std::int64_t d = 0; d < a_.size.dim; ++d) {
        const double given = widen(from[d]);
        d_p.value[d] += given;
        d_p.bound[d] += chi * std::abs(given);
      }
    });
  }

  const Arguments& a_;
  Table rows_, abs_rows_;  // (2, padded D): c, then dH
  std::vector<double> block_;
  WeightSums sums_;
};

void reference(const Problem& problem, const Tensors& inputs, const Numerics& numerics,
               ExpectedWriter& writer) {
  const Size size(problem);
  writer.begin({{"dP", 1, size.dim}, {"dO1", 1, size.dim}, {"dL1", 1, 1}}, size.tokens);
  const TensorView* const d_lse = inputs.find("dLSE");
  const Arguments arguments{size,
                            numerics,
                            problem.real("eps"),
                            attnres_merge_bwd_contract::folded_weights(inputs),
                            inputs["P"],
                            inputs["O1"],
                            inputs["dH"],
                            load_floats(inputs["L1"]),
                            d_lse ? load_floats(*d_lse) : std::vector<float>{},
                            problem.flag("accumulate") ? &inputs["dP"] : nullptr};
  WeightSums sums(1, size.dim);
  dispatch(arguments.p.spec.dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    // Made before the threads start, which must not throw.
    const std::int64_t parts = std::min(kParts, size.tokens);
    std::vector<Worker<T>> workers(static_cast<std::size_t>(parts), Worker<T>(arguments));
    parallel_for(parts, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t part = begin; part < end; ++part) {
        write_slices(writer, size.tokens * part / parts, size.tokens * (part + 1) / parts,
                     [&](std::int64_t token, const ExpectedSlice* to) {
                       workers[static_cast<std::size_t>(part)].run(token, to[0], to[1], to[2]);
                     });
      }
    });
    for (const Worker<T>& worker : workers) sums += worker.sums();
  });
  const Family* const family = op_of(problem).find_family(problem.family);
  const bool random_signs = family && family->random_signs;
  const TensorView* const g = inputs.find("g");
  const attnres_gradients::Summed summed = {size.tokens, size.tokens};
  writer.add(sums.gradient("dw", summed, numerics, random_signs,
                           g ? load_floats(*g) : std::vector<float>{}));
  if (g) writer.add(sums.gradient("dg", summed, numerics, random_signs, load_floats(inputs["w"])));
}

Cost cost(const Problem& problem) {
  Cost cost = least_traffic(op_of(problem), problem);
  // Each element: squared, scored, and dH (P - O1) added; then dO1, dP of three terms, and X.
  cost.flops = static_cast<double>(problem.dim("T")) * static_cast<double>(problem.dim("D")) *
               (7 + 1 + 5 + 2);
  return cost;
}

ASSAY_OP(attnres_merge_bwd){
    .name = "attnres_merge_bwd",
    .formula =
        "s = b (1-b) <dH, P - O1>; dl = s + b dLSE; dP = b dH + dl (r w*g - l r^2 P / D); dO1 = "
        "(1-b) dH; dL1 = -s + (1-b) dLSE; X = sum_t dl r P; dw = g*X; dg = w*X",
    .source = "Attention Residuals, Kimi Team, arXiv 2603.15031, phase 2 differentiated",
    .dims = {{"T", "tokens", std::nullopt}, {"D", "hidden size", std::nullopt}},
    .tensors = {{"P",
                 Role::in,
                 {"T", "D"},
                 std::nullopt,
                 false,
                 "running sum of the current block, updated"},
                {"w", Role::in, {"D"}, std::nullopt, false, "pseudo-query"},
                {"g", Role::in, {"D"}, std::nullopt, true, "RMSNorm weights; absent: ones"},
                {"O1", Role::in, {"T", "D"}, std::nullopt, false, "mixed blocks before this one"},
                {"L1", Role::in, {"T"}, DType::f32, false, "LSE of their logits"},
                {"dH", Role::in, {"T", "D"}, std::nullopt, false, "gradient of H"},
                {"dLSE", Role::in, {"T"}, DType::f32, true, "gradient of LSE; absent: zeros"},
                {.name = "dP",
                 .role = Role::out,
                 .shape = {"T", "D"},
                 .meaning = "gradient of P (and of U)",
                 .inout_with = "accumulate"},
                {"dO1", Role::out, {"T", "D"}, std::nullopt, false, "gradient of O1"},
                {"dL1", Role::out, {"T"}, DType::f32, false, "gradient of L1"},
                {"dw", Role::out, {"D"}, DType::f32, false, "gradient of w"},
                {.name = "dg",
                 .role = Role::out,
                 .shape = {"D"},
                 .dtype = DType::f32,
                 .meaning = "gradient of g",
                 .present_with = "g"}},
    .options = {{"eps", "added to the mean square of a row of P", 1e-6, 0, 1e30},
                {"accumulate", "adds to the given dP, which may be dH", false}},
    .families = attnres_merge_bwd_contract::families(),
    .batch_dim = "T",
    .relations = attnres_merge_bwd_contract::relations(),
    .write_reference = reference,
    .cost = cost,
    .sensitivities = attnres_merge_bwd_contract::sensitivities,
};

}  // namespace
}  // namespace assay
