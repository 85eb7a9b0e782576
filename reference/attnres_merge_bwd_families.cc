// The inputs of attnres_merge_bwd: those of attnres_merge_fwd, with cotangents, and two of its own.
// Compiled with -ffp-contract=off like families.cc: the same bits on every machine.
#include <cmath>

#include "reference/attnres_inputs.h"
#include "reference/attnres_merge_bwd_contract.h"
#include "reference/families.h"

namespace assay::attnres_merge_bwd_contract {
namespace {

using namespace attnres_inputs;

// A stream beside those of the cotangents.
constexpr std::uint64_t kSide = 24;

double value(const TensorView& tensor, std::int64_t i) {
  return dispatch(tensor.spec.dtype, [&](auto type) -> double {
    return to_float(tensor.as<const typename decltype(type)::type>()[i]);
  });
}

// dH along P - O1 or, by a random sign, against it.
void turn_cotangents(const Problem& problem, std::uint64_t seed, const Tensors& inputs) {
  fill_cotangents(kCotangents, seed, inputs);
  const TensorView &p = inputs["P"], &o1 = inputs["O1"];
  const std::int64_t dim = problem.dim("D");
  fill_edited(inputs["dH"], {seed, kCotangents.first_stream}, [&](std::int64_t t, float* values) {
    const float side = random_word({seed, kSide}, t) >> 31 != 0 ? -1.0f : 1.0f;
    for (std::int64_t d = 0; d < dim; ++d) {
      const double difference = value(p, t * dim + d) - value(o1, t * dim + d);
      values[d] = std::copysign(values[d], difference < 0 ? -side : side);
    }
  });
}

// L1 between 4 and 6.5 above or below where it was: β/(1-β) is 1/50 to 1/700, or that many.
void move_apart(const Problem& problem, std::uint64_t seed, const Tensors& inputs) {
  std::vector<float> l1 = load_floats(inputs["L1"]);
  for (std::int64_t t = 0; t < problem.dim("T"); ++t) {
    const float by = 4 + 2.5f * uniform({seed, kSide}, t);
    l1[static_cast<std::size_t>(t)] += (t + static_cast<std::int64_t>(seed)) % 2 == 0 ? by : -by;
  }
  store_floats(inputs["L1"], l1);
}

}  // namespace

std::vector<Family> families() {
  // A weight of 1e-6 beside one of 1 leaves dL1 and the lesser gradient to rounding: in `far` one
  // side alone counts, to the bit. The coefficient dl l r² / D of a small P beside a large O1 stays
  // below 2^128.
  const attnres_merge_contract::Extremes extremes{.edge = 30, .far = 760, .reach = 200};
  std::vector<Family> forward;
  Family near_ties, gaussian;
  for (Family& family : attnres_merge_contract::common_families(extremes)) {
    if (family.name == "midpoints") continue;  // of an update, which is before this
    if (family.name == "near_ties") near_ties = family;
    if (family.name == kGaussian) gaussian = family;
    forward.push_back(std::move(family));
  }
  Family uneven = near_ties;
  uneven.name = "uneven";
  uneven.meaning = "L1 apart from l by 4 to 6.5: one weight is 50 to 700 times the other";
  uneven.fill = [fill = near_ties.fill](const Problem& p, std::uint64_t seed,
                                        const Tensors& inputs) {
    fill(p, seed, inputs);
    move_apart(p, seed, inputs);
  };
  forward.push_back(std::move(uneven));

  std::vector<Family> all = with_cotangents(std::move(forward), kCotangents);
  Family aligned = gaussian;
  aligned.name = "aligned";
  aligned.meaning = "dH along P - O1, or against it: the gradient of the logit outweighs all else";
  aligned.fill = [fill = gaussian.fill](const Problem& p, std::uint64_t seed,
                                        const Tensors& inputs) {
    fill(p, seed, inputs);
    turn_cotangents(p, seed, inputs);
  };
  aligned.random_signs = true;
  all.push_back(std::move(aligned));
  all.push_back(exact_family());
  return all;
}

}  // namespace assay::attnres_merge_bwd_contract
