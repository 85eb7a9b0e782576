// The contract of attnres_bwd: dims, tensors, options, inputs, cost, and the fp64 reference with
// its bounds. The header has the formulas.
#include "reference/attnres_bwd.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "harness/core/parallel.h"
#include "harness/core/registry.h"
#include "reference/attnres_bwd_coefficients.h"
#include "reference/attnres_bwd_contract.h"
#include "reference/attnres_bwd_loops.h"
#include "reference/attnres_weight_gradient.h"
#include "reference/families.h"

namespace assay {
namespace {

namespace loops = attnres_reference;
using attnres_bwd_contract::Coefficients;
using attnres_bwd_contract::Size;
using attnres_bwd_contract::TokenProducts;
using attnres_gradients::kParts;
using attnres_gradients::Roundings;
using attnres_gradients::Summed;
using attnres_gradients::Table;
using attnres_gradients::WeightSums;
using attnres_numerics::Row;

// The inputs of a problem as the loops want them.
struct Arguments {
  Size size;
  Numerics numerics;
  double eps;
  Table c;                            // w⊙g (Q, padded D)
  TensorView v, d_output;             // (N, T, D), (Q, T, D)
  const float* d_lse = nullptr;       // (Q, T); null: zeros
  const TensorView* given = nullptr;  // dV as it was, or null
};

Table load_weights(const Size& size, const Tensors& inputs) {
  Table c = Table::Zero(size.queries, loops::padded(size.dim));
  const std::vector<float> w = load_floats(inputs["w"]);
  const TensorView* const g_tensor = inputs.find("g");
  const std::vector<float> g =
      g_tensor ? load_floats(*g_tensor) : std::vector<float>(w.size(), 1.0f);
  for (std::int64_t q = 0; q < size.queries; ++q) {
    for (std::int64_t d = 0; d < size.dim; ++d) {
      const auto at = static_cast<std::size_t>(q * size.dim + d);
      c(q, d) = static_cast<double>(w[at]) * static_cast<double>(g[at]);
    }
  }
  return c;
}

// Computes tokens one after the other, with its own scratch memory: one per part.
template <class T>
class Worker {
 public:
  explicit Worker(const Arguments& arguments)
      : a_(arguments),
        size_(arguments.size),
        rows_(2 * size_.queries, loops::padded(size_.dim)),
        square_(size_.sources),
        dot_(2 * size_.queries, size_.sources),
        abs_dot_(dot_),
        d_lse_(size_.queries),
        found_(size_),
        typical_(size_),
        block_(static_cast<std::size_t>(size_.sources * loops::kBlock)),
        sums_(size_.queries, size_.dim) {
    rows_.topRows(size_.queries) = a_.c;
    rows_.bottomRows(size_.queries).setZero();
    abs_rows_ = rows_.abs();
  }

  void run(std::int64_t token, const ExpectedSlice& values) {
    const auto [sources, queries, tokens, dim] = size_;
    load_cotangents(token);
    const loops::Token<T> inputs{a_.v.as<const T>() + token * dim,
                                 tokens * dim,
                                 sources,
                                 2 * queries,
                                 dim,
                                 rows_.data(),
                                 abs_rows_.data()};
    run_simd<loops::Scores<T>>(&inputs, square_.data(), dot_.data(), abs_dot_.data());
    const TokenProducts products{square_, dot_, abs_dot_, d_lse_};
    found_.find(a_.numerics, a_.eps, products);
    typical_.find(a_.numerics, a_.eps, products, Roundings::typical);
    const loops::Coefficients coefficients{
        found_.alpha.data(),    found_.k.data(),      found_.p.data(),     found_.alpha_rate.data(),
        found_.k_rate.data(),   found_.p_rate.data(), found_.floor.data(), found_.x_rate.data(),
        typical_.x_rate.data(), found_.x_size.data()};
    const loops::GradientTargets targets{values.value, values.bound, values.stride, sums_.targets(),
                                         block_.data()};
    run_simd<loops::Gradients<T>>(&inputs, queries, &coefficients, &targets);
    if (a_.given) add_given(token, values);
  }

  const WeightSums& sums() const { return sums_; }

 private:
  void load_cotangents(std::int64_t token) {
    const auto [sources, queries, tokens, dim] = size_;
    dispatch(a_.d_output.spec.dtype, [&](auto type) {
      const auto* from = a_.d_output.as<const typename decltype(type)::type>();
      for (std::int64_t q = 0; q < queries; ++q) {
        double* const row = rows_.data() + (queries + q) * rows_.cols();
        double* const abs_row = abs_rows_.data() + (queries + q) * rows_.cols();
        for (std::int64_t d = 0; d < dim; ++d) {
          row[d] = widen(from[(q * tokens + token) * dim + d]);
          abs_row[d] = std::abs(row[d]);
        }
        d_lse_(q) = a_.d_lse ? static_cast<double>(a_.d_lse[q * tokens + token]) : 0.0;
      }
    });
  }

  void add_given(std::int64_t token, const ExpectedSlice& values) {
    const double chi = attnres_gradients::chain(size_.queries, a_.numerics);
    dispatch(a_.given->spec.dtype, [&](auto type) {
      const auto* from = a_.given->as<const typename decltype(type)::type>();
      for (std::int64_t n = 0; n < size_.sources; ++n) {
        const std::int64_t row = (n * size_.tokens + token) * size_.dim;
        double* const value = values.value + n * values.stride;
        double* const bound = values.bound + n * values.stride;
        for (std::int64_t d = 0; d < size_.dim; ++d) {
          const double given = widen(from[row + d]);
          value[d] += given;
          bound[d] += chi * std::abs(given);
        }
      }
    });
  }

  const Arguments& a_;
  const Size size_;
  Table rows_, abs_rows_;  // (2Q, padded D): c, then dO
  Row square_;             // (N)
  Table dot_, abs_dot_;    // (2Q, N)
  Row d_lse_;              // (Q)
  Coefficients found_, typical_;
  std::vector<double> block_;
  WeightSums sums_;
};

void reference(const Problem& problem, const Tensors& inputs, const Numerics& numerics,
               ExpectedWriter& writer) {
  const Size size(problem);
  const TensorView* const d_lse = inputs.find("dLSE");
  Arguments arguments{size,
                      numerics,
                      problem.real("eps"),
                      load_weights(size, inputs),
                      inputs["V"],
                      inputs["dO"],
                      nullptr,
                      problem.flag("accumulate") ? &inputs["dV"] : nullptr};
  std::vector<float> d_lse_values;
  if (d_lse) d_lse_values = load_floats(*d_lse);
  if (d_lse) arguments.d_lse = d_lse_values.data();

  writer.begin({{"dV", size.sources, size.dim}}, size.tokens);
  WeightSums sums(size.queries, size.dim);
  dispatch(arguments.v.spec.dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    // Made before the threads start, which must not throw.
    const std::int64_t parts = std::min(kParts, size.tokens);
    std::vector<Worker<T>> workers(static_cast<std::size_t>(parts), Worker<T>(arguments));
    parallel_for(parts, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t part = begin; part < end; ++part) {
        write_slices(writer, size.tokens * part / parts, size.tokens * (part + 1) / parts,
                     [&](std::int64_t token, const ExpectedSlice* to) {
                       workers[static_cast<std::size_t>(part)].run(token, to[0]);
                     });
      }
    });
    for (const Worker<T>& worker : workers) sums += worker.sums();
  });
  const Family* const family = op_of(problem).find_family(problem.family);
  const bool random_signs = family && family->random_signs;
  const TensorView* const g = inputs.find("g");
  const Summed summed = {size.tokens, size.tokens * size.sources};
  writer.add(sums.gradient("dw", summed, numerics, random_signs,
                           g ? load_floats(*g) : std::vector<float>{}));
  if (g) writer.add(sums.gradient("dg", summed, numerics, random_signs, load_floats(inputs["w"])));
}

Cost cost(const Problem& problem) {
  Cost cost = least_traffic(op_of(problem), problem);
  const Size size(problem);
  const double rows = static_cast<double>(size.sources) * static_cast<double>(size.tokens);
  // Each element of V: squared and added, and once in dV; for each query in l, a, X and, with those
  // of dO and c, dV.
  cost.flops = rows * static_cast<double>(size.dim) * (4 + 10 * static_cast<double>(size.queries));
  return cost;
}

ASSAY_OP(attnres_bwd){
    .name = "attnres_bwd",
    .formula =
        "a = <dO, V>; ds = alpha (a - sum_n alpha a + dLSE); dV = sum_q [alpha dO + ds (r w*g - l "
        "r^2 V / D)]; X = sum_nt ds r V; dw = g*X; dg = w*X",
    .source = "Attention Residuals, Kimi Team, arXiv 2603.15031, phase 1 differentiated",
    .dims = {{"N", "source blocks", std::nullopt},
             {"Q", "pseudo-queries", 1},
             {"T", "tokens", std::nullopt},
             {"D", "hidden size", std::nullopt}},
    .tensors = {{"V", Role::in, {"N", "T", "D"}, std::nullopt, false, "block representations"},
                {"w", Role::in, {"Q", "D"}, std::nullopt, false, "pseudo-queries"},
                {"g", Role::in, {"Q", "D"}, std::nullopt, true, "RMSNorm weights; absent: ones"},
                {"dO", Role::in, {"Q", "T", "D"}, std::nullopt, false, "gradient of O"},
                {"dLSE", Role::in, {"Q", "T"}, DType::f32, true, "gradient of LSE; absent: zeros"},
                {.name = "dV",
                 .role = Role::out,
                 .shape = {"N", "T", "D"},
                 .meaning = "gradient of V",
                 .inout_with = "accumulate"},
                {"dw", Role::out, {"Q", "D"}, DType::f32, false, "gradient of w"},
                {.name = "dg",
                 .role = Role::out,
                 .shape = {"Q", "D"},
                 .dtype = DType::f32,
                 .meaning = "gradient of g",
                 .present_with = "g"}},
    .options = {{"eps", "added to the mean square of a row of V", 1e-6, 0, 1e30},
                {"accumulate", "adds to the given dV", false}},
    .families = attnres_bwd_contract::families(),
    .batch_dim = "T",
    .relations = attnres_bwd_contract::relations(),
    .write_reference = reference,
    .cost = cost,
    .sensitivities = attnres_bwd_contract::sensitivities,
};

}  // namespace
}  // namespace assay
