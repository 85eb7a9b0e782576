// The contract of attnres_fwd: dims, tensors, options, inputs, cost, and the fp64 reference with
// its bounds. The header has the formulas.
#include "reference/attnres_fwd.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "harness/core/parallel.h"
#include "harness/core/registry.h"
#include "reference/attnres_fwd_contract.h"
#include "reference/attnres_fwd_loops.h"
#include "reference/attnres_logits.h"
#include "reference/attnres_numerics.h"

namespace assay {
namespace {

namespace loops = attnres_reference;
using attnres_contract::Size;
using attnres_numerics::half_subnormal;
using attnres_numerics::kUnderflow;
using attnres_numerics::rounding;

using Table = Eigen::Array<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

// A (Q,D) tensor in fp64, its columns padded with zeros.
Table load(const TensorView& tensor, const Size& size) {
  Table table = Table::Zero(size.queries, loops::padded(size.dim));
  dispatch(tensor.spec.dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    const T* const values = tensor.as<T>();
    for (std::int64_t q = 0; q < size.queries; ++q) {
      for (std::int64_t d = 0; d < size.dim; ++d) table(q, d) = to_float(values[q * size.dim + d]);
    }
  });
  return table;
}

// Computes tokens one after the other, with its own scratch memory: one per thread.
template <class T>
class Worker {
 public:
  Worker(const Size& size, const T* v, const Table& c, const Table& abs_c, double eps,
         const Numerics& numerics)
      : size_(size),
        v_(v),
        c_(c),
        abs_c_(abs_c),
        eps_(eps),
        unit_(unit_roundoff(numerics.accumulate)),
        rescales_(numerics.rescales),
        truncates_(numerics.truncates_mix),
        numerics_(numerics),
        square_(size.sources),
        dot_(size.queries, size.sources),
        abs_dot_(dot_),
        alpha_(dot_),
        kappa_(dot_),
        rho_(dot_),
        tau_(dot_),
        rho_total_(static_cast<std::size_t>(size.queries)),
        block_(static_cast<std::size_t>(size.sources * loops::kBlock)) {}

  void run(std::int64_t token, const ExpectedSlice& output, const ExpectedSlice& lse) {
    const auto [sources, queries, tokens, dim] = size_;
    const loops::Token<T> inputs{v_ + token * dim, tokens * dim, sources, queries, dim,
                                 c_.data(),        abs_c_.data()};
    run_simd<loops::Scores<T>>(&inputs, square_.data(), dot_.data(), abs_dot_.data());
    softmax(lse);
    const double roundings =
        static_cast<double>((truncates_ ? 3 : 2) * sources + 8) + 2 * rescales_;
    const loops::Mixture mixture{alpha_.data(),
                                 kappa_.data(),
                                 roundings * unit_,
                                 kUnderflow,
                                 rounds_mix() ? rho_.data() : nullptr,
                                 tau_.data(),
                                 rho_total_.data(),
                                 half_subnormal(numerics_.partials),
                                 block_.data(),
                                 output.value,
                                 output.bound,
                                 output.stride};
    run_simd<loops::Mix<T>>(&inputs, &mixture);
  }

 private:
  bool rounds_mix() const {
    return numerics_.probabilities != DType::f32 || numerics_.partials != DType::f32;
  }

  // From the sums over D: α, LSE with its bound, and κ, the weights of |v - o| in the bound of the
  // output.
  void softmax(const ExpectedSlice& to) {
    using attnres_numerics::Row;
    const double u = unit_;
    const auto sources = static_cast<double>(size_.sources);
    const auto dim = static_cast<double>(size_.dim);
    const double up = rounding(numerics_.probabilities), upart = rounding(numerics_.partials);
    const Row r = (square_ / dim + eps_).sqrt().inverse();
    for (std::int64_t q = 0; q < size_.queries; ++q) {
      const Row l = r * dot_.row(q);
      const double m = l.maxCoeff();
      // Beyond e^700 nothing is bounded any more, and infinities times weights of 0 would be NaN.
      const Row error =
          (attnres_numerics::logit_error(numerics_, dim, r, square_, abs_dot_.row(q), l) +
           attnres_numerics::exponential_error(numerics_, l, m))
              .cwiseMin(700);
      // Eigen's exp does not go below e^-708; what is smaller is 0 here.
      const Row p = (l - m < -700).select(0.0, (l - m).exp());
      const double z = p.sum();
      const Row alpha = p / z;
      const Row growth = alpha * error.expm1();
      alpha_.row(q) = alpha;
      const double shrunk = (alpha * (-error).exp()).sum();
      kappa_.row(q) = growth / shrunk;
      const Row lambda = kappa_.row(q) + alpha / shrunk;
      rho_.row(q) = up * lambda + half_subnormal(numerics_.probabilities);
      if (numerics_.probabilities == DType::f32) rho_.row(q).setZero();
      tau_.row(q) = upart * (lambda + rho_.row(q));
      // At 1 a bound is no longer finite.
      const double rho_total = std::min(rho_.row(q).sum(), 0.5);
      rho_total_[static_cast<std::size_t>(q)] = rho_total;
      const double lse = m + std::log(z);
      to.value[q * to.stride] = lse;
      to.bound[q * to.stride] = std::log1p(growth.sum()) +
                                (sources + 4 + rescales_ + std::abs(lse)) * u -
                                std::log1p(-rho_total);
    }
  }

  const Size size_;
  const T* const v_;
  const Table& c_;
  const Table& abs_c_;
  const double eps_, unit_, rescales_;
  const bool truncates_;
  const Numerics numerics_;
  Eigen::Array<double, 1, Eigen::Dynamic> square_;   // (N)
  Table dot_, abs_dot_, alpha_, kappa_, rho_, tau_;  // (Q, N)
  std::vector<double> rho_total_;                    // (Q)
  std::vector<double> block_;
};

void reference(const Problem& problem, const Tensors& inputs, const Numerics& numerics,
               ExpectedWriter& writer) {
  const Size size(problem);
  Table c = load(inputs["w"], size);
  if (const TensorView* g = inputs.find("g")) c *= load(*g, size);
  const Table abs_c = c.abs();

  writer.begin({{"O", size.queries, size.dim}, {"LSE", size.queries, 1}}, size.tokens);
  const TensorView& v = inputs["V"];
  dispatch(v.spec.dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    // Made before the threads start, which must not throw.
    const auto parts = std::min<std::int64_t>(num_threads(), size.tokens);
    std::vector<Worker<T>> workers(
        static_cast<std::size_t>(parts),
        Worker<T>(size, v.as<T>(), c, abs_c, problem.real("eps"), numerics));
    parallel_for(size.tokens, 1, [&](std::int64_t begin, std::int64_t end, int part) {
      Worker<T>& worker = workers[static_cast<std::size_t>(part)];
      write_slices(writer, begin, end, [&](std::int64_t token, const ExpectedSlice* to) {
        worker.run(token, to[0], to[1]);
      });
    });
  });
}

Cost cost(const Problem& problem) {
  Cost cost = least_traffic(op_of(problem), problem);
  const Size size(problem);
  const double rows = static_cast<double>(size.sources) * static_cast<double>(size.tokens);
  // Each element of V: squared and added once; scored and mixed once per query.
  cost.flops = rows * static_cast<double>(size.dim) * (2 + 4 * static_cast<double>(size.queries));
  return cost;
}

ASSAY_OP(attnres_fwd){
    .name = "attnres_fwd",
    .formula =
        "r = 1/sqrt(mean_d V^2 + eps); l = r <w*g, V>; a = softmax_n(l); O = sum_n a V; LSE = log "
        "sum_n exp l",
    .source = "Attention Residuals, Kimi Team, arXiv 2603.15031",
    .dims = {{"N", "source blocks", std::nullopt},
             {"Q", "pseudo-queries", 1},
             {"T", "tokens", std::nullopt},
             {"D", "hidden size", std::nullopt}},
    .tensors = {{"V", Role::in, {"N", "T", "D"}, std::nullopt, false, "block representations"},
                {"w", Role::in, {"Q", "D"}, std::nullopt, false, "pseudo-queries"},
                {"g", Role::in, {"Q", "D"}, std::nullopt, true, "RMSNorm weights; absent: ones"},
                {"O", Role::out, {"Q", "T", "D"}, std::nullopt, false, "mixed representations"},
                {"LSE",
                 Role::out,
                 {"Q", "T"},
                 DType::f32,
                 false,
                 "log of the sum of exponentials of the logits"}},
    .options = {{"eps", "added to the mean square of a row of V", 1e-6, 0, 1e30}},
    .families = attnres_contract::families(),
    .batch_dim = "T",
    .relations = attnres_contract::relations(),
    .write_reference = reference,
    .cost = cost,
    .sensitivities = attnres_contract::sensitivities,
};

}  // namespace
}  // namespace assay
