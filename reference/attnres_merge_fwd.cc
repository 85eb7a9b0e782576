// The contract of attnres_merge_fwd: dims, tensors, options, inputs, cost, and the fp64 reference
// with its bounds. The header has the formulas.
#include "reference/attnres_merge_fwd.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "harness/core/parallel.h"
#include "harness/core/registry.h"
#include "reference/attnres_fwd_loops.h"
#include "reference/attnres_merge_fwd_contract.h"
#include "reference/attnres_merge_odds.h"
#include "reference/attnres_numerics.h"

namespace assay {
namespace attnres_merge_contract {

double add_to_odd(double a, double b) {
  const double sum = a + b;
  const double back = sum - a, lost = (a - (sum - back)) + (b - back);  // exact (Knuth)
  const auto bits = std::bit_cast<std::uint64_t>(sum);
  if (!std::isfinite(sum) || lost == 0 || (bits & 1) != 0) return sum;
  // Towards what was lost; a neighbour of an even number is odd.
  return std::bit_cast<double>(bits + ((lost > 0) == (sum > 0) ? 1 : -1));
}

std::vector<double> folded_weights(const Tensors& inputs) {
  std::vector<double> c(static_cast<std::size_t>(inputs["w"].spec.elements()), 1.0);
  for (const char* name : {"w", "g"}) {
    const TensorView* const tensor = inputs.find(name);
    if (!tensor) continue;
    dispatch(tensor->spec.dtype, [&](auto type) {
      using T = typename decltype(type)::type;
      for (std::size_t d = 0; d < c.size(); ++d) c[d] *= to_float(tensor->as<const T>()[d]);
    });
  }
  return c;
}

namespace {

// Elements [begin, begin + count) of a tensor.
void load(const TensorView& tensor, std::int64_t begin, std::int64_t count, double* out) {
  dispatch(tensor.spec.dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    for (std::int64_t i = 0; i < count; ++i) out[i] = to_float(tensor.as<const T>()[begin + i]);
  });
}

}  // namespace

void load_row(const Tensors& inputs, std::int64_t token, std::int64_t dim, double* row,
              double* sum) {
  const TensorView& p = inputs["P"];
  const TensorView* const u = inputs.find("U");
  if (!u) return load(p, token * dim, dim, row);
  load(p, token * dim, dim, sum);
  load(*u, token * dim, dim, row);
  dispatch(p.spec.dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    for (std::int64_t d = 0; d < dim; ++d) {
      sum[d] = add_to_odd(sum[d], row[d]);
      row[d] = to_float(round_to<T>(sum[d]));
    }
  });
}

}  // namespace attnres_merge_contract

namespace {

namespace loops = attnres_reference;
using attnres_merge_contract::add_to_odd;
using attnres_merge_contract::Size;
using attnres_numerics::half_subnormal;
using attnres_numerics::kUnderflow;
using attnres_numerics::rounding;

// What one token's H and its bound are made from.
struct Mixture {
  double beta, rest, kappa, mix, rho_p, rho_o, rho;  // rest = 1 - β
  bool rounds;
};

// value, bound (count) from rows p and o1 (count).
struct Merge {
  template <Isa>
  static ASSAY_INLINE void run(const double* p, const double* o1, std::int64_t count,
                               const Mixture* mixture, double* value, double* bound) {
    const Mixture m = *mixture;
    for (std::int64_t d = 0; d < count; ++d) {
      const double difference = std::abs(p[d] - o1[d]), big = std::abs(p[d]),
                   other = std::abs(o1[d]);
      value[d] = m.rest * o1[d] + m.beta * p[d];
      bound[d] = m.kappa * difference +
                 m.mix * (m.beta * difference + m.rest * other + m.beta * big) +
                 kUnderflow * (2 + difference + big + other);
    }
    if (!m.rounds) return;
    const double both = (m.rho_p * m.rest + m.rho_o * m.beta) / (1 - m.rho),
                 again = m.rho / (1 - m.rho);
    for (std::int64_t d = 0; d < count; ++d) {
      const double difference = std::abs(p[d] - o1[d]);
      bound[d] +=
          std::max({m.rho_p * difference, m.rho_p * std::abs(p[d]) + m.rho_o * std::abs(o1[d]),
                    both * difference + again * bound[d]});
    }
  }
};

// Computes tokens one after the other, with its own scratch memory: one per thread.
class Worker {
 public:
  Worker(const Problem& problem, const Tensors& inputs, const std::vector<double>& c,
         const Numerics& numerics)
      : size_(problem),
        inputs_(inputs),
        c_(c),
        eps_(problem.real("eps")),
        numerics_(numerics),
        p_(static_cast<std::size_t>(loops::padded(size_.dim))),
        o1_(p_.size()) {}

  // updated: P; null: it is not.
  void run(std::int64_t token, const ExpectedSlice* updated, const ExpectedSlice& h,
           const ExpectedSlice& lse) {
    const std::int64_t begin = token * size_.dim;
    attnres_merge_contract::load_row(inputs_, token, size_.dim, p_.data(),
                                     updated ? updated->value : nullptr);
    attnres_merge_contract::load(inputs_["O1"], begin, size_.dim, o1_.data());
    if (updated != nullptr) std::fill_n(updated->bound, size_.dim, 0.0);
    double l1 = 0;
    attnres_merge_contract::load(inputs_["L1"], token, 1, &l1);
    double square = 0, dot = 0, abs_dot = 0;
    run_simd<Sums>(static_cast<const double*>(p_.data()), c_.data(), size_.dim, &square, &dot,
                   &abs_dot);
    const Mixture mixture = weigh(l1, square, dot, abs_dot, lse);
    run_simd<Merge>(static_cast<const double*>(p_.data()), static_cast<const double*>(o1_.data()),
                    size_.dim, &mixture, h.value, h.bound);
  }

 private:
  // Σ p², Σ c p, Σ |c p|.
  struct Sums {
    template <Isa kIsa>
    static ASSAY_INLINE void run(const double* p, const double* c, std::int64_t dim, double* square,
                                 double* dot, double* abs_dot) {
      loops::Vec<kIsa> squares = {}, dots = {}, abs_dots = {};
      for (std::int64_t d = 0; d < loops::padded(dim); d += loops::kLanes<kIsa>) {
        const auto x = loops::load<kIsa>(p + d), product = loops::load<kIsa>(c + d) * x;
        squares += x * x;
        dots += product;
        abs_dots += loops::abs<kIsa>(product);
      }
      *square = loops::sum<kIsa>(squares);
      *dot = loops::sum<kIsa>(dots);
      *abs_dot = loops::sum<kIsa>(abs_dots);
    }
  };

  // LSE with its bound, into `to`, and what H is made from.
  Mixture weigh(double l1, double square, double dot, double abs_dot, const ExpectedSlice& to) {
    const double u = unit_roundoff(numerics_.accumulate), up = rounding(numerics_.probabilities);
    const attnres_merge_numerics::Odds odds = attnres_merge_numerics::odds(
        numerics_, eps_, static_cast<double>(size_.dim), {square, dot, abs_dot}, l1);
    const double beta = odds.beta, rest = odds.rest, x = odds.x;
    Mixture m{};
    m.beta = beta;
    m.rest = rest;
    m.kappa = odds.kappa;
    m.mix = 8 * u;
    m.rounds = numerics_.probabilities != DType::f32;
    if (m.rounds) {
      m.rho_p = up * (beta + m.kappa) + half_subnormal(numerics_.probabilities);
      m.rho_o = up * (rest + m.kappa) + half_subnormal(numerics_.probabilities);
      m.rho = std::min(m.rho_p + m.rho_o, 0.5);  // at 1 a bound is no longer finite
    }
    const double lse = std::max(odds.logit, l1) + std::log1p(std::exp(-std::abs(x)));
    *to.value = x == x ? lse : x;
    *to.bound =
        std::log1p(beta * std::expm1(odds.error) + rest * std::expm1(4 * u * std::abs(l1))) +
        (6 + std::abs(lse)) * u - std::log1p(-m.rho);
    return m;
  }

  const Size size_;
  const Tensors& inputs_;
  const std::vector<double>& c_;  // padded with zeros
  const double eps_;
  const Numerics numerics_;
  std::vector<double> p_, o1_;
};

void reference(const Problem& problem, const Tensors& inputs, const Numerics& numerics,
               ExpectedWriter& writer) {
  const Size size(problem);
  std::vector<double> c = attnres_merge_contract::folded_weights(inputs);
  c.resize(static_cast<std::size_t>(loops::padded(size.dim)));

  const bool updates = problem.has("U");
  std::vector<SlicedOutput> outputs = {{"H", 1, size.dim}, {"LSE", 1, 1}};
  if (updates) outputs.insert(outputs.begin(), {"P", 1, size.dim});
  writer.begin(std::move(outputs), size.tokens);
  // Made before the threads start, which must not throw.
  const auto parts = std::min<std::int64_t>(num_threads(), size.tokens);
  std::vector<Worker> workers(static_cast<std::size_t>(parts),
                              Worker(problem, inputs, c, numerics));
  parallel_for(size.tokens, 1, [&](std::int64_t begin, std::int64_t end, int part) {
    Worker& worker = workers[static_cast<std::size_t>(part)];
    write_slices(writer, begin, end, [&](std::int64_t token, const ExpectedSlice* to) {
      worker.run(token, updates ? to : nullptr, to[updates ? 1 : 0], to[updates ? 2 : 1]);
    });
  });
}

Cost cost(const Problem& problem) {
  Cost cost = least_traffic(op_of(problem), problem);
  // Each element of P: added to, squared, scored, mixed.
  cost.flops = static_cast<double>(problem.dim("T")) * static_cast<double>(problem.dim("D")) *
               (problem.has("U") ? 8 : 7);
  return cost;
}

ASSAY_OP(attnres_merge_fwd){
    .name = "attnres_merge_fwd",
    .formula =
        "P += U; r = 1/sqrt(mean_d P^2 + eps); l = r <w*g, P>; b = sigmoid(l - L1); H = O1 + b (P "
        "- "
        "O1); LSE = logaddexp(L1, l)",
    .source = "Attention Residuals, Kimi Team, arXiv 2603.15031",
    .dims = {{"T", "tokens", std::nullopt}, {"D", "hidden size", std::nullopt}},
    .tensors = {{.name = "P",
                 .shape = {"T", "D"},
                 .meaning = "running sum of the current block",
                 .inout_with = "U",
                 .exact = true},
                {"w", Role::in, {"D"}, std::nullopt, false, "pseudo-query"},
                {"g", Role::in, {"D"}, std::nullopt, true, "RMSNorm weights; absent: ones"},
                {"O1", Role::in, {"T", "D"}, std::nullopt, false, "mixed blocks before this one"},
                {"L1", Role::in, {"T"}, DType::f32, false, "LSE of their logits"},
                {"U", Role::in, {"T", "D"}, std::nullopt, true, "what P is first updated by"},
                {"H", Role::out, {"T", "D"}, std::nullopt, false, "mixed representations"},
                {"LSE",
                 Role::out,
                 {"T"},
                 DType::f32,
                 false,
                 "log of the sum of exponentials of all logits"}},
    .options = {{"eps", "added to the mean square of a row of P", 1e-6, 0, 1e30}},
    .families = attnres_merge_contract::families(),
    .batch_dim = "T",
    .relations = attnres_merge_contract::relations(),
    .write_reference = reference,
    .cost = cost,
    .sensitivities = attnres_merge_contract::sensitivities,
};

}  // namespace
}  // namespace assay
