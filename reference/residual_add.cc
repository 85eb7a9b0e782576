// residual_add: R = P + U, rounded once, to nearest with ties to even; what is absent is zero, so
// that a copy and a fill are problems of this op. What the schedule of attention residuals does
// between its phases (block_attnres.h).
//
// The bits of R are determined: bound 0. A kernel may add in fp32 and round that where neither
// input has more bits than R (attnres_merge_fwd.h says why); else it rounds the addition to odd.
// The reference does, in fp64.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <tuple>
#include <utility>
#include <vector>

#include "harness/core/parallel.h"
#include "harness/core/registry.h"
#include "reference/attnres_merge_fwd_contract.h"
#include "reference/families.h"

namespace assay {
namespace {

constexpr std::uint64_t kP = 0, kU = 1, kScaleOfP = 2, kScaleOfU = 5, kPlace = 9;

void fill_both(const Tensors& inputs, std::uint64_t seed) {
  if (const TensorView* const p = inputs.find("P")) fill_gaussian(*p, {seed, kP}, 1);
  if (const TensorView* const u = inputs.find("U")) fill_gaussian(*u, {seed, kU}, 0.75f);
}

void fill_rows_apart(const Problem&, std::uint64_t seed, const Tensors& inputs) {
  for (const auto& [name, stream, scales] :
       {std::tuple("P", kP, kScaleOfP), std::tuple("U", kU, kScaleOfU)}) {
    const TensorView* const tensor = inputs.find(name);
    if (!tensor) continue;
    const SpreadScale scale({seed, scales}, tensor->spec.dtype, 1);
    fill_rows(*tensor, {seed, stream}, [&](std::int64_t t) { return scale(t, t); });
  }
}

// Bits of a significand.
int digits(DType dtype) { return dtype == DType::f32 ? 24 : dtype == DType::f16 ? 11 : 8; }

// Every sum within a few units of the midpoint of two numbers of R's dtype, or on it: P has a few
// bits, U is half a unit of them, by turns exactly, a little more and a little less.
void fill_midpoints(const Problem& problem, std::uint64_t seed, const Tensors& inputs) {
  const TensorView &p = inputs["P"], &u = inputs["U"];
  const RandomSequence words{seed, kPlace};
  const int bits = digits(problem.dtype_of("R"));
  // As far below half a unit as U's own bits reach.
  const int reach = digits(u.spec.dtype) - 1;
  for (std::int64_t i = 0; i < p.spec.elements(); ++i) {
    const std::uint32_t word = random_word(words, i);
    const int significand = static_cast<int>(word % 128u) + 128;  // 8 bits
    const float value = std::ldexp(static_cast<float>(significand), -7);
    const float half = std::ldexp(1.0f, -bits);
    const float little = std::ldexp(half, -reach);
    const float step[] = {0, little, -little / 2, 0};
    const float sign = (word >> 16 & 1u) != 0 ? -1.0f : 1.0f;
    for (const auto& [tensor, x] :
         {std::pair(&p, sign * value), std::pair(&u, sign * (half + step[word >> 8 & 3u]))}) {
      dispatch(tensor->spec.dtype, [&](auto type) {
        using T = typename decltype(type)::type;
        tensor->as<T>()[i] = round_to<T>(x);
      });
    }
  }
}

std::string needs_both(const Problem& problem) {
  return problem.has("P") && problem.has("U") ? "" : "there is nothing to add";
}

void load(const TensorView* tensor, std::int64_t begin, std::int64_t count, double* out) {
  if (!tensor) {
    std::fill_n(out, count, 0.0);
    return;
  }
  dispatch(tensor->spec.dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    for (std::int64_t i = 0; i < count; ++i) out[i] = to_float(tensor->as<const T>()[begin + i]);
  });
}

void reference(const Problem& problem, const Tensors& inputs, const Numerics&,
               ExpectedWriter& writer) {
  const std::int64_t tokens = problem.dim("T"), dim = problem.dim("D");
  writer.begin({{"R", 1, dim}}, tokens);
  const TensorView *const p = inputs.find("P"), *const u = inputs.find("U");
  std::vector<std::vector<double>> rows(static_cast<std::size_t>(num_threads()),
                                        std::vector<double>(static_cast<std::size_t>(dim)));
  parallel_for(tokens, 1, [&](std::int64_t begin, std::int64_t end, int part) {
    double* const other = rows[static_cast<std::size_t>(part)].data();
    write_slices(writer, begin, end, [&](std::int64_t t, const ExpectedSlice* to) {
      double* const row = to->value;
      load(p, t * dim, dim, row);
      load(u, t * dim, dim, other);
      for (std::int64_t d = 0; d < dim; ++d)
        row[d] = attnres_merge_contract::add_to_odd(row[d], other[d]);
      std::fill_n(to->bound, dim, 0.0);
    });
  });
}

Cost cost(const Problem& problem) {
  Cost cost = least_traffic(op_of(problem), problem);
  if (problem.has("P") && problem.has("U"))
    cost.flops = static_cast<double>(problem.dim("T")) * static_cast<double>(problem.dim("D"));
  return cost;
}

ASSAY_OP(residual_add){
    .name = "residual_add",
    .formula = "R = P + U; what is absent is zero",
    .source = "Attention Residuals, Kimi Team, arXiv 2603.15031: the sums between its phases",
    .dims = {{"T", "rows", std::nullopt}, {"D", "their length", std::nullopt}},
    .tensors = {{"P", Role::in, {"T", "D"}, std::nullopt, true, "running sum; absent: zeros"},
                {"U", Role::in, {"T", "D"}, std::nullopt, true, "what is added; absent: zeros"},
                {.name = "R",
                 .role = Role::out,
                 .shape = {"T", "D"},
                 .meaning = "their sum, rounded once",
                 .exact = true}},
    .options = {},
    .families = {gaussian_family([](const Problem&, std::uint64_t seed, const Tensors& inputs) {
                   fill_both(inputs, seed);
                 }),
                 spread_family(fill_rows_apart),
                 {.name = "midpoints",
                  .meaning = "sums on and beside the midpoints of two numbers of R's dtype",
                  .fill = fill_midpoints,
                  .inapplicable = needs_both},
                 {.name = "misaligned",
                  .meaning = "gaussian, every tensor one element away from an aligned address",
                  .fill = [](const Problem&, std::uint64_t seed,
                             const Tensors& inputs) { fill_both(inputs, seed); },
                  .layout = Layout::misaligned}},
    .batch_dim = "T",
    .write_reference = reference,
    .cost = cost,
};

}  // namespace
}  // namespace assay
