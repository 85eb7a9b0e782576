// The inputs of attnres_merge_fwd. Compiled with -ffp-contract=off like families.cc: the same bits
// on every machine.
//
// L1 is set last, from the logits that P as stored has, so that β is what a family wants. Where
// there is a U, most families take it out of P: U = f P and P = P - U, f between 1/4 and 3/4, so
// that their sum is again P but for roundings.
#include <algorithm>
#include <cmath>
#include <limits>

#include "harness/core/parallel.h"
#include "reference/attnres_inputs.h"
#include "reference/attnres_merge_fwd_contract.h"
#include "reference/families.h"

namespace assay::attnres_merge_contract {
namespace {

using namespace attnres_inputs;

// Streams beside those of attnres_inputs.h; those of O1 scaled by rows are its double and the next.
constexpr std::uint64_t kO1 = 16, kL1 = 17, kU = 18;

// 2^±e for e up to 126 and the numbers between; exp itself differs from machine to machine.
float power_of_two(int exponent) { return std::ldexp(1.0f, exponent); }

// A row of a tensor, changed in place by edit(token, values).
template <class Edit>
void edit_rows(const TensorView& tensor, const Edit& edit) {
  const std::int64_t dim = tensor.spec.shape.back();
  std::vector<std::vector<float>> rows(static_cast<std::size_t>(num_threads()),
                                       std::vector<float>(static_cast<std::size_t>(dim)));
  dispatch(tensor.spec.dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    parallel_for(tensor.spec.elements() / dim, 1,
                 [&](std::int64_t begin, std::int64_t end, int part) {
                   float* const row = rows[static_cast<std::size_t>(part)].data();
                   for (std::int64_t t = begin; t < end; ++t) {
                     T* const stored = tensor.as<T>() + t * dim;
                     for (std::int64_t d = 0; d < dim; ++d) row[d] = to_float(stored[d]);
                     edit(t, row);
                     for (std::int64_t d = 0; d < dim; ++d) stored[d] = round_to<T>(row[d]);
                   }
                 });
  });
}

double value(const TensorView& tensor, std::int64_t i) {
  return dispatch(tensor.spec.dtype, [&](auto type) -> double {
    return to_float(tensor.as<const typename decltype(type)::type>()[i]);
  });
}

void take_update_out(const Tensors& inputs, std::uint64_t seed) {
  const TensorView* const u = inputs.find("U");
  if (!u) return;
  const TensorView& p = inputs["P"];
  const std::int64_t dim = p.spec.shape.back();
  fill_edited(*u, {seed, kU}, [&](std::int64_t t, float* values) {
    for (std::int64_t d = 0; d < dim; ++d) {
      const float share = 0.5f + std::clamp(0.125f * values[d], -0.25f, 0.25f);
      values[d] = share * static_cast<float>(value(p, t * dim + d));
    }
  });
  edit_rows(p, [&](std::int64_t t, float* values) {
    for (std::int64_t d = 0; d < dim; ++d) values[d] -= static_cast<float>(value(*u, t * dim + d));
  });
}

// L1 = l - x(token), l the logit of P (with U added) as stored.
template <class LogOdds>
void set_odds(const Problem& problem, const Tensors& inputs, const LogOdds& x) {
  const Size size(problem);
  const double eps = problem.real("eps");
  const std::vector<double> c = folded_weights(inputs);
  const auto dim = static_cast<std::size_t>(size.dim);
  const std::vector<std::vector<double>> empty(static_cast<std::size_t>(num_threads()),
                                               std::vector<double>(dim));
  std::vector<std::vector<double>> rows = empty, sums = empty;
  std::vector<float> l1(static_cast<std::size_t>(size.tokens));
  parallel_for(size.tokens, 1, [&](std::int64_t begin, std::int64_t end, int part) {
    double* const p = rows[static_cast<std::size_t>(part)].data();
    double* const sum = sums[static_cast<std::size_t>(part)].data();
    for (std::int64_t t = begin; t < end; ++t) {
      load_row(inputs, t, size.dim, p, sum);
      double squares = 0, score = 0;
      for (std::size_t d = 0; d < dim; ++d) {
        squares += p[d] * p[d];
        score += c[d] * p[d];
      }
      const double mean = squares / static_cast<double>(size.dim) + eps;
      const double l = mean > 0 ? score / std::sqrt(mean) : 0;
      l1[static_cast<std::size_t>(t)] = static_cast<float>(l - x(t));
    }
  });
  store_floats(inputs["L1"], l1);
}

// x uniform within ±`reach`.
void set_moderate_odds(const Problem& problem, std::uint64_t seed, const Tensors& inputs,
                       double reach) {
  const RandomSequence targets{seed, kTarget};
  set_odds(problem, inputs, [&](std::int64_t t) { return reach * (2 * uniform(targets, t) - 1); });
}

void fill_all_gaussian(const Problem& problem, std::uint64_t seed, const Tensors& inputs) {
  const TensorView* const u = inputs.find("U");
  fill_gaussian(inputs["P"], {seed, kV}, u ? 0.75f : 1);
  if (u) fill_gaussian(*u, {seed, kU}, 0.625f);
  fill_gaussian(inputs["O1"], {seed, kO1}, 0.75f);
  fill_gaussian(inputs["L1"], {seed, kL1}, 1, 1.5f);
  gaussian_weights(problem, seed, inputs);
}

void fill_spread(const Problem& problem, std::uint64_t seed, const Tensors& inputs) {
  const double eps = problem.real("eps");
  const TensorView &p = inputs["P"], &o1 = inputs["O1"];
  const SpreadScale scale({seed, kScale}, p.spec.dtype, eps);
  fill_rows(p, {seed, kV}, [&](std::int64_t t) { return scale(t, t); });
  // The same centre, and an offset of its own.
  const SpreadScale other({seed, kScale}, o1.spec.dtype, eps);
  fill_rows(o1, {seed, kO1}, [&](std::int64_t t) { return other(t, t + problem.dim("T")); });
  fill_gaussian(inputs["w"], {seed, kW}, 2.5f / root_dim(problem));
  if (const TensorView* g = inputs.find("g")) fill_signed(*g, {seed, kG});
  take_update_out(inputs, seed);
  set_moderate_odds(problem, seed, inputs, 4);
}

void fill_tiny(const Problem& problem, std::uint64_t seed, const Tensors& inputs) {
  const TinyScale scale(seed, problem.real("eps"));
  fill_rows(inputs["P"], {seed, kV}, scale);
  fill_rows(inputs["O1"], {seed, kO1}, scale);
  fill_gaussian(inputs["w"], {seed, kW}, 4 / root_dim(problem));
  if (const TensorView* g = inputs.find("g")) fill_signed(*g, {seed, kG});
  take_update_out(inputs, seed);
  set_moderate_odds(problem, seed, inputs, 2);
}

void fill_spike(const Problem& problem, std::uint64_t seed, const Tensors& inputs) {
  const auto offset = static_cast<std::int64_t>(seed % 65536);
  fill_edited(inputs["P"], {seed, kV}, [&](std::int64_t t, float* values) {
    set_spike(values, problem.dim("D"), t + offset);
  });
  fill_gaussian(inputs["O1"], {seed, kO1}, 1);
  spike_weights(problem, seed, inputs);
  take_update_out(inputs, seed);
  set_moderate_odds(problem, seed, inputs, 3);
}

template <class Logit>
void fill_steered(const Problem& problem, std::uint64_t seed, const Tensors& inputs, double reach,
                  const Logit& logit) {
  const Steering steering(1, problem, seed, inputs, {.reach = reach});
  fill_edited(inputs["P"], {seed, kV},
              [&](std::int64_t t, float* values) { steering.turn(values, logit(t)); });
  take_update_out(inputs, seed);
}

// Beyond ±88 and ±104 exp leaves fp32.
void fill_large_logits(const Problem& problem, std::uint64_t seed, const Tensors& inputs) {
  const RandomSequence targets{seed, kTarget};
  fill_steered(problem, seed, inputs, 200, [&](std::int64_t t) {
    const double size = 112 + 76 * uniform(targets, problem.dim("T") + t);
    return t % 2 == 0 ? size : -size;
  });
  fill_gaussian(inputs["O1"], {seed, kO1}, 1);
  set_moderate_odds(problem, seed, inputs, 3);
}

// By turns β within e^-far of 1, β below that, and β = 2^-k e^±1/2 beside a P of about 2^k, where H
// is made of both alike. k up to 24, in f16 12.
void fill_far(const Problem& problem, std::uint64_t seed, const Tensors& inputs,
              const Extremes& extremes) {
  const RandomSequence targets{seed, kTarget};
  const int most = problem.dtype_of("P") == DType::f16 ? 12 : 24;
  const auto octaves = [&](std::int64_t t) {
    return t % 3 == 2 ? integer(targets, problem.dim("T") + t, 4, most) : 0;
  };
  fill_edited(inputs["P"], {seed, kV}, [&](std::int64_t t, float* values) {
    for (std::int64_t d = 0; d < problem.dim("D"); ++d) values[d] *= power_of_two(octaves(t));
  });
  fill_gaussian(inputs["O1"], {seed, kO1}, 1);
  gaussian_weights(problem, seed, inputs);
  take_update_out(inputs, seed);
  set_odds(problem, inputs, [&](std::int64_t t) {
    const double at = uniform(targets, t);
    if (t % 3 == 2) return -0.6931471805599453 * octaves(t) + at - 0.5;
    return (t % 3 == 0 ? 1 : -1) * (extremes.far + extremes.reach * at);
  });
}

// x between 2^-20 and 2^-4, at logits of 18, 3 and -18.
void fill_near_ties(const Problem& problem, std::uint64_t seed, const Tensors& inputs) {
  const RandomSequence targets{seed, kTarget};
  fill_steered(problem, seed, inputs, 20, [](std::int64_t t) {
    return t % 3 == 0 ? 18.0 : t % 3 == 1 ? 3.0 : -18.0;
  });
  fill_gaussian(inputs["O1"], {seed, kO1}, 1);
  set_odds(problem, inputs, [&](std::int64_t t) {
    const double x =
        std::ldexp(1.0 + uniform(targets, t), integer(targets, t + problem.dim("T"), -20, -5));
    return t % 2 == 0 ? x : -x;
  });
}

// O1 = -P but for a 16th, with weights that are almost equal; logits so small that they say
// nothing.
void fill_cancellation(const Problem& problem, std::uint64_t seed, const Tensors& inputs) {
  fill_gaussian(inputs["P"], {seed, kV}, 1);
  const std::int64_t dim = problem.dim("D");
  const TensorView& p = inputs["P"];
  fill_edited(inputs["O1"], {seed, kO1}, [&](std::int64_t t, float* values) {
    for (std::int64_t d = 0; d < dim; ++d)
      values[d] = -static_cast<float>(value(p, t * dim + d)) * (1 + 0.0625f * values[d]);
  });
  gaussian_weights(problem, seed, inputs, 0.0625f);
  take_update_out(inputs, seed);
  set_moderate_odds(problem, seed, inputs, 0.0625);
}

// As the tokens of attnres_fwd: P and O1 both at the top of their dtype, both at the bottom, or one
// at each.
void fill_dtype_edge(const Problem& problem, std::uint64_t seed, const Tensors& inputs,
                     const Extremes& extremes) {
  const std::int64_t dim = problem.dim("D");
  const auto fill = [&](const char* name, std::uint64_t stream, bool is_first) {
    const TensorView& tensor = inputs[name];
    fill_edited(tensor, {seed, stream}, [&, is_first](std::int64_t t, float* values) {
      // Of a logit of 1e-15 LSE says little: few tokens have one.
      const bool to_top = t % 4 == 1 ? false : t % 4 == 2 ? is_first : true;
      move_to_edge(values, dim, tensor.spec.dtype, to_top, extremes.edge);
    });
  };
  fill("P", kV, true);
  fill("O1", kO1, false);
  gaussian_weights(problem, seed, inputs);
  take_update_out(inputs, seed);
  set_moderate_odds(problem, seed, inputs, 3);
}

void fill_identical(const Problem& problem, std::uint64_t seed, const Tensors& inputs) {
  fill_all_gaussian(problem, seed, inputs);
  const std::int64_t dim = problem.dim("D");
  std::vector<double> p(static_cast<std::size_t>(dim)), sum(p);
  const TensorView& o1 = inputs["O1"];
  dispatch(o1.spec.dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    for (std::int64_t t = 0; t < problem.dim("T"); ++t) {
      load_row(inputs, t, dim, p.data(), sum.data());
      for (std::int64_t d = 0; d < dim; ++d)
        o1.as<T>()[t * dim + d] = round_to<T>(p[static_cast<std::size_t>(d)]);
    }
  });
}

// By turns tokens whose P is zero (with U: that of the sum), whose O1 is, both, and neither.
void fill_zeros(const Problem& problem, std::uint64_t seed, const Tensors& inputs) {
  fill_all_gaussian(problem, seed, inputs);
  const std::int64_t dim = problem.dim("D");
  const TensorView* const u = inputs.find("U");
  if (u != nullptr) {
    edit_rows(inputs["P"], [&](std::int64_t t, float* values) {
      for (std::int64_t d = 0; d < dim && t % 4 < 2; ++d)
        values[d] = std::clamp(values[d], -60000.0f, 60000.0f);
    });
    edit_rows(*u, [&](std::int64_t t, float* values) {
      for (std::int64_t d = 0; d < dim && t % 4 < 2; ++d)
        values[d] = -static_cast<float>(value(inputs["P"], t * dim + d));
    });
    // Where U has fewer bits.
    edit_rows(inputs["P"], [&](std::int64_t t, float* values) {
      for (std::int64_t d = 0; d < dim && t % 4 < 2; ++d)
        values[d] = -static_cast<float>(value(*u, t * dim + d));
    });
  } else {
    edit_rows(inputs["P"], [&](std::int64_t t, float* values) {
      if (t % 4 < 2) std::fill_n(values, dim, 0.0f);
    });
  }
  edit_rows(inputs["O1"], [&](std::int64_t t, float* values) {
    if (t % 4 == 1 || t % 4 == 2) std::fill_n(values, dim, 0.0f);
  });
}

// U is half a unit in P's last place, so that the sum is a midpoint of P's dtype, or, where U has
// bits to spare, just beside one.
void fill_midpoints(const Problem& problem, std::uint64_t seed, const Tensors& inputs) {
  fill_all_gaussian(problem, seed, inputs);
  const TensorView& p = inputs["P"];
  const DType dtype = p.spec.dtype;
  const int digits = dtype == DType::f32 ? 24 : dtype == DType::f16 ? 11 : 8;
  const std::int64_t dim = problem.dim("D");
  const RandomSequence places{seed, kPlace};
  edit_rows(inputs["U"], [&](std::int64_t t, float* values) {
    for (std::int64_t d = 0; d < dim; ++d) {
      const auto x = static_cast<float>(value(p, t * dim + d));
      if (x == 0) continue;
      const auto word = random_word(places, t * dim + d);
      const float beside = word % 4 < 2 ? 0 : power_of_two(-5 - static_cast<int>(word / 4 % 18));
      values[d] = std::copysign(
          power_of_two(std::ilogb(x) - digits) * (1 + (word % 4 == 2 ? beside : -beside)),
          word >> 31 != 0 ? -1.0f : 1.0f);
    }
  });
}

// One NaN in token `seed` % T.
void put_nan(const Problem& problem, std::uint64_t seed, const TensorView& tensor) {
  const Size size(problem);
  const auto t = static_cast<std::int64_t>(seed % static_cast<std::uint64_t>(size.tokens));
  const std::int64_t width = tensor.spec.elements() / size.tokens;
  const std::int64_t d = random_word({seed, kPlace}, 0) % width;
  dispatch(tensor.spec.dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    tensor.as<T>()[t * width + d] = round_to<T>(std::numeric_limits<double>::quiet_NaN());
  });
}

// In P, L1 or U, whichever the seed says: all of the token's H and LSE are NaN.
void fill_nan(const Problem& problem, std::uint64_t seed, const Tensors& inputs) {
  fill_all_gaussian(problem, seed, inputs);
  const char* const names[] = {"P", "L1", "U"};
  put_nan(problem, seed, inputs[names[seed % (inputs.find("U") ? 3 : 2)]]);
}

void fill_nan_in_o1(const Problem& problem, std::uint64_t seed, const Tensors& inputs) {
  fill_all_gaussian(problem, seed, inputs);
  put_nan(problem, seed, inputs["O1"]);
}

std::string one_token(const Problem& problem) {
  return problem.dim("T") < 2 ? "there is no other token" : "";
}

}  // namespace

std::vector<Family> common_families(const Extremes& extremes) {
  const auto with_extremes = [extremes](const auto& fill) {
    return [extremes, fill](const Problem& problem, std::uint64_t seed, const Tensors& inputs) {
      fill(problem, seed, inputs, extremes);
    };
  };
  return {
      gaussian_family(fill_all_gaussian),
      spread_family(fill_spread),
      {"tiny", "rows whose mean square is of the order of eps: it decides everywhere", fill_tiny,
       [](const Problem& p) -> std::string {
         for (const char* tensor : {"P", "O1"})
           if (const auto why = tiny_inapplicable(p.real("eps"), p.dtype_of(tensor)); !why.empty())
             return why;
         return "";
       }},
      {"spike", "one large entry a row of P, its column rotating over D; no weight near 0",
       fill_spike},
      {"large_logits", "logits of 110 to 200 or -110 to -200, L1 beside them: exp leaves fp32",
       fill_large_logits, steered_inapplicable},
      {"far", "L1 far from l: one side alone counts, unless P is as large as its weight is small",
       with_extremes(fill_far)},
      {"near_ties", "L1 equal to l but for 2^-20 to 2^-4, at 18, 3 and -18", fill_near_ties,
       steered_inapplicable},
      {"cancellation", "O1 = -P but for a 16th, and almost equal weights", fill_cancellation},
      {"dtype_edge", "values at the top and the bottom of the dtype, as far as fp32 has |P|²",
       with_extremes(fill_dtype_edge)},
      {"identical", "O1 = P: the weights do not matter", fill_identical},
      {"zeros", "tokens whose P, O1 or both are zero", fill_zeros,
       [](const Problem& p) -> std::string {
         return p.real("eps") == 0 ? "a zero row is undefined where eps is 0" : "";
       }},
      {"midpoints", "P + U at midpoints of P's dtype, and beside them", fill_midpoints,
       [](const Problem& p) -> std::string { return p.has("U") ? "" : "there is no U"; }},
      {.name = "nan",
       .meaning = "gaussian with one NaN in P, L1 or U, in one token: all of it is NaN",
       .fill = fill_nan,
       .inapplicable = one_token,
       .isolates = kGaussian},
      {.name = "nan_in_o1",
       .meaning = "gaussian with one NaN in O1: its element of H alone is NaN",
       .fill = fill_nan_in_o1,
       .inapplicable = one_token,
       .isolates = kGaussian},
      {.name = "misaligned",
       .meaning = "gaussian, tensors one element off their alignment",
       .fill = fill_all_gaussian,
       .layout = Layout::misaligned},
      {.name = "padded",
       .meaning = "gaussian, 32 bytes between one row of a tensor and the next",
       .fill = fill_all_gaussian,
       .layout = Layout::padded},
  };
}

std::vector<Family> families() {
  std::vector<Family> all = common_families({});
  all.push_back(exact_family());
  return all;
}

}  // namespace assay::attnres_merge_contract
