// The inputs of attnres_fwd. Compiled with -ffp-contract=off like families.cc: the same bits on
// every machine.
#include <algorithm>
#include <cmath>
#include <limits>

#include "reference/attnres_fwd_contract.h"
#include "reference/attnres_inputs.h"
#include "reference/families.h"

namespace assay::attnres_contract {
namespace {

using namespace attnres_inputs;

void fill_all_gaussian(const Problem& problem, std::uint64_t seed, const Tensors& inputs) {
  fill_gaussian(inputs["V"], {seed, kV}, 1);
  gaussian_weights(problem, seed, inputs);
}

void fill_spread(const Problem& problem, std::uint64_t seed, const Tensors& inputs) {
  const TensorView& v = inputs["V"];
  const SpreadScale scale({seed, kScale}, v.spec.dtype, problem.real("eps"));
  const std::int64_t tokens = problem.dim("T");
  fill_rows(v, {seed, kV}, [&](std::int64_t row) { return scale(row % tokens, row); });
  fill_gaussian(inputs["w"], {seed, kW}, 2.5f / root_dim(problem));
  if (const TensorView* g = inputs.find("g")) fill_signed(*g, {seed, kG});
}

void fill_tiny(const Problem& problem, std::uint64_t seed, const Tensors& inputs) {
  fill_rows(inputs["V"], {seed, kV}, TinyScale(seed, problem.real("eps")));
  fill_gaussian(inputs["w"], {seed, kW}, 4 / root_dim(problem));
  if (const TensorView* g = inputs.find("g")) fill_signed(*g, {seed, kG});
}

void fill_spike(const Problem& problem, std::uint64_t seed, const Tensors& inputs) {
  const Size size(problem);
  const auto offset = static_cast<std::int64_t>(seed % 65536);
  fill_edited(inputs["V"], {seed, kV}, [&](std::int64_t row, float* values) {
    const std::int64_t n = row / size.tokens, t = row % size.tokens;
    set_spike(values, size.dim, n + size.sources * t + offset);
  });
  spike_weights(problem, seed, inputs);
}

template <class Target>
void fill_steered(const Problem& problem, std::uint64_t seed, const Tensors& inputs,
                  const Steered& how, const Target& target) {
  const Steering steering(problem.dim("Q"), problem, seed, inputs, how);
  const std::int64_t tokens = problem.dim("T");
  fill_edited(inputs["V"], {seed, kV}, [&](std::int64_t row, float* values) {
    steering.turn(values, target(row / tokens, row % tokens));
  });
}

// Beyond ±88 and ±104 exp leaves fp32. All sources of a token share the sign and lie within ±2.
void fill_large_logits(const Problem& problem, std::uint64_t seed, const Tensors& inputs) {
  const std::int64_t tokens = problem.dim("T");
  const RandomSequence targets{seed, kTarget};
  fill_steered(problem, seed, inputs, {.reach = 200, .noise = 1},
               [&](std::int64_t n, std::int64_t t) {
                 const double size =
                     112 + 76 * uniform(targets, t) + 4 * uniform(targets, tokens * (n + 1) + t);
                 return t % 2 == 0 ? size : -size;
               });
}

// Steps of 8 (less for many sources, so that all lie within ±123), about 3; or as `extremes` say.
void fill_rising_falling(const Problem& problem, std::uint64_t seed, const Tensors& inputs,
                         const Extremes& extremes) {
  const auto last = static_cast<double>(problem.dim("N") - 1);
  const double range = problem.dtype_of("V") == DType::f16 ? extremes.narrow_range : extremes.range;
  const double step = std::min(extremes.step, range / std::max(last, 1.0));
  fill_steered(problem, seed, inputs, {.reach = step * last / 2 + 6, .noise = 0.5f},
               [&](std::int64_t n, std::int64_t t) {
                 const double logit = step * (static_cast<double>(n) - last / 2) + 3;
                 return t % 2 == 0 ? logit : -logit;
               });
}

// Equal logits of 18, 3 or -18 but for the rounding of V.
void fill_near_ties(const Problem& problem, std::uint64_t seed, const Tensors& inputs) {
  fill_steered(problem, seed, inputs, {.reach = 20, .scaled = true},
               [](std::int64_t, std::int64_t t) {
                 return t % 3 == 0 ? 18.0 : t % 3 == 1 ? 3.0 : -18.0;
               });
}

// The others weigh e^-12 = 6e-6 (or as `extremes` say), give or take e².
void fill_dominant(const Problem& problem, std::uint64_t seed, const Tensors& inputs,
                   const Extremes& extremes) {
  const std::int64_t sources = problem.dim("N"), tokens = problem.dim("T");
  const auto offset = static_cast<std::int64_t>(seed % 65536);
  const RandomSequence targets{seed, kTarget};
  fill_steered(problem, seed, inputs, {.reach = extremes.dominance + 2, .noise = 0.5f},
               [&](std::int64_t n, std::int64_t t) -> double {
                 if (n == (t + offset) % sources) return extremes.dominance;
                 return 4 * uniform(targets, n * tokens + t) - 2;
               });
}

// V[2k + 1] = -V[2k], and weights so small that the two are mixed almost equally. A last source
// without a partner is small.
void fill_cancellation(const Problem& problem, std::uint64_t seed, const Tensors& inputs) {
  const Size size(problem);
  const auto pair = [&](std::int64_t row) {
    return row / size.tokens / 2 * 2 * size.tokens + row % size.tokens;
  };
  fill_edited(
      inputs["V"], {seed, kV},
      [&](std::int64_t row, float* values) {
        const std::int64_t n = row / size.tokens;
        const float factor = n % 2 == 1 ? -1.0f : n + 1 == size.sources ? 0x1p-6f : 1.0f;
        for (std::int64_t d = 0; d < size.dim; ++d) values[d] *= factor;
      },
      pair);
  gaussian_weights(problem, seed, inputs, 0.0625f);
}

// By turns tokens near the largest values of V's dtype (or as large as Σ v² in fp32 allows), tokens
// near the least, and tokens of both.
void fill_dtype_edge(const Problem& problem, std::uint64_t seed, const Tensors& inputs, int edge) {
  const Size size(problem);
  const TensorView& v = inputs["V"];
  fill_edited(v, {seed, kV}, [&](std::int64_t row, float* values) {
    const std::int64_t n = row / size.tokens, t = row % size.tokens;
    // Of a single source whose logit is 1e-15 LSE would say nothing: such tokens are few.
    const std::int64_t kind = size.sources > 1 ? t % 3 : t % 16 == 1 ? 1 : 0;
    move_to_edge(values, size.dim, v.spec.dtype, kind == 2 ? n % 2 == 0 : kind == 0, edge);
  });
  gaussian_weights(problem, seed, inputs);
}

void fill_identical(const Problem& problem, std::uint64_t seed, const Tensors& inputs) {
  const std::int64_t tokens = problem.dim("T");
  fill_edited(
      inputs["V"], {seed, kV}, [](std::int64_t, float*) {},
      [tokens](std::int64_t row) { return row % tokens; });
  gaussian_weights(problem, seed, inputs);
}

// Every fourth token is zero; of the others one source.
void fill_zeros(const Problem& problem, std::uint64_t seed, const Tensors& inputs) {
  const Size size(problem);
  const auto offset = static_cast<std::int64_t>(seed % 65536);
  fill_edited(inputs["V"], {seed, kV}, [&](std::int64_t row, float* values) {
    const std::int64_t n = row / size.tokens, t = row % size.tokens;
    const bool one = size.sources > 1 && n == (t + offset) % size.sources;
    if (t % 4 == 0 || one) std::fill_n(values, size.dim, 0.0f);
  });
  gaussian_weights(problem, seed, inputs);
}

void fill_nan(const Problem& problem, std::uint64_t seed, const Tensors& inputs) {
  fill_all_gaussian(problem, seed, inputs);
  const Size size(problem);
  const RandomSequence places{seed, kPlace};
  const auto at = [&](std::int64_t index, std::int64_t count) {
    return static_cast<std::int64_t>(random_word(places, index)) % count;
  };
  const std::int64_t n = at(0, size.sources), d = at(1, size.dim),
                     t = static_cast<std::int64_t>(seed % static_cast<std::uint64_t>(size.tokens));
  const TensorView& v = inputs["V"];
  dispatch(v.spec.dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    v.as<T>()[(n * size.tokens + t) * size.dim + d] =
        round_to<T>(std::numeric_limits<double>::quiet_NaN());
  });
}

}  // namespace

std::vector<Family> common_families(const Extremes& extremes) {
  const auto one_source = [](const Problem& p) -> std::string {
    return p.dim("N") < 2 ? "takes two sources" : "";
  };
  const auto steered_or_one_source = [=](const Problem& p) {
    return p.dim("N") < 2 ? one_source(p) : steered_inapplicable(p);
  };
  const auto with_extremes = [extremes](const auto& fill) {
    return [extremes, fill](const Problem& problem, std::uint64_t seed, const Tensors& inputs) {
      fill(problem, seed, inputs, extremes);
    };
  };
  return {
      gaussian_family(fill_all_gaussian),
      spread_family(fill_spread),
      {"tiny", "rows whose mean square is of the order of eps: it decides everywhere", fill_tiny,
       [](const Problem& p) { return tiny_inapplicable(p.real("eps"), p.dtype_of("V")); }},
      {"spike", "one large entry a row, its column rotating over D; no weight near 0", fill_spike},
      {"large_logits", "logits of 110 to 200 or -110 to -200: exp leaves fp32 unless shifted",
       fill_large_logits, steered_inapplicable},
      {"rising_falling", "logits rise or fall over the sources by steps: rescaling decides",
       with_extremes(fill_rising_falling), steered_or_one_source},
      {"near_ties", "logits of all sources equal but for a few roundings, at 18, 3 and -18",
       fill_near_ties, steered_or_one_source},
      {"cancellation", "sources in pairs x, -x of almost equal weights", fill_cancellation,
       one_source},
      {"dominant", "one source, another for each token, has nearly all the weight",
       with_extremes(fill_dominant), steered_or_one_source},
      {"dtype_edge", "values at the top and the bottom of V's dtype, as far as fp32 has |v|²",
       [edge = extremes.edge](const Problem& problem, std::uint64_t seed, const Tensors& inputs) {
         fill_dtype_edge(problem, seed, inputs, edge);
       }},
      {"identical", "all sources of a token are the same row", fill_identical},
      {"zeros", "tokens of zeros, and single sources of zeros", fill_zeros,
       [](const Problem& p) -> std::string {
         return p.real("eps") == 0 ? "a zero row is undefined where eps is 0" : "";
       }},
      {.name = "nan",
       .meaning = "gaussian with one NaN, in one token",
       .fill = fill_nan,
       .inapplicable = [](const Problem& p) -> std::string {
         return p.dim("T") < 2 ? "there is no other token" : "";
       },
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

}  // namespace assay::attnres_contract
