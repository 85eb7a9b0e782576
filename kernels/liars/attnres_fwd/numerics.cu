// Arithmetic and repeatability that are declared, or not: each declaration's correct kernel beside
// the one that does the same and does not say so.
#include "kernels/liars/attnres_fwd/liar.h"

namespace assay::ASSAY_TWIN::liars_attnres_fwd {

template <auto Member>
Numerics declares_bf16(const Problem& p) {
  Numerics numerics = correct_numerics(p);
  numerics.*Member = DType::bf16;
  return numerics;
}

ASSAY_WRONG(correct, Correct, .bug = "", .caught_by = {});
ASSAY_WRONG(correct_batch_invariant, Correct, .bug = "", .caught_by = {},
            .problem = "attnres_fwd N=5 Q=2 T=37 D=72",
            .repeatability = Repeatability::batch_invariant);

struct Bf16Probabilities : Correct {
  ASSAY_DEVICE static float mix(float mixed, float factor, float p, float x) {
    return mixed * factor + rounded<bf16>(p) * x;
  }
};
ASSAY_WRONG(correct_bf16_probabilities, Bf16Probabilities, .bug = "", .caught_by = {},
            .numerics = declares_bf16<&Numerics::probabilities>);
ASSAY_WRONG(undeclared_bf16_probabilities, Bf16Probabilities,
            .bug = "weights of the mix rounded to bf16, undeclared", .caught_by = {"interval"});

struct Bf16Weights : Correct {
  ASSAY_DEVICE static float weight(const Arguments& a, int q, int d) {
    return rounded<bf16>(Correct::weight(a, q, d));
  }
};
ASSAY_WRONG(correct_bf16_weights, Bf16Weights, .bug = "", .caught_by = {},
            .numerics = declares_bf16<&Numerics::weights>);
ASSAY_WRONG(undeclared_bf16_weights, Bf16Weights, .bug = "w·g rounded to bf16, undeclared",
            .caught_by = {"interval"});

// Two halves of the sources: the normalised mix of the first is rounded before the second joins.
struct Bf16Partials : Correct {
  ASSAY_DEVICE static float part(const Arguments& a, float mixed, float z, int i) {
    return i == (a.sources - 1) / 2 ? rounded<bf16>(mixed / z) * z : mixed;
  }
};
ASSAY_WRONG(correct_bf16_partials, Bf16Partials, .bug = "", .caught_by = {},
            .numerics = declares_bf16<&Numerics::partials>);
ASSAY_WRONG(undeclared_bf16_partials, Bf16Partials,
            .bug = "outputs of the first half of the sources rounded to bf16, undeclared",
            .caught_by = {"interval"});

// The weights in f16 pass for bf16 ones, until they underflow.
struct HalfProbabilities : Correct {
  ASSAY_DEVICE static float mix(float mixed, float factor, float p, float x) {
    return mixed * factor + rounded<f16>(p) * x;
  }
};
ASSAY_WRONG(undeclared_f16_probabilities, HalfProbabilities,
            .bug = "weights of the mix rounded to f16, undeclared", .caught_by = {"interval"});

// A running sum of D = 1024 may err by g = 1.2e-4 of Σ|c v|: enough for factors of the logits and
// of eps that are off by a multiple of g. Both vanish where a logit is 0.
Numerics running_sum(const Problem& p) {
  Numerics numerics = correct_numerics(p);
  numerics.summation_height = height(p.dim("D"), 1);
  return numerics;
}
constexpr const char* kLongSums = "attnres_fwd g=1 N=5 Q=3 T=96 D=1024";

struct SlightlyHotter : Correct {
  ASSAY_DEVICE static float logit(float l, const Arguments&) { return l * 1.00021f; }
};
ASSAY_WRONG(slightly_hotter, SlightlyHotter,
            .bug =
                "logits 0.021 % too large, hidden by the bound of a running sum, which errs to "
                "both sides",
            .caught_by = {"bias"}, .problem = kLongSums, .numerics = running_sum);

struct SlightlyLargerEps : Correct {
  ASSAY_DEVICE static float eps(const Arguments& a) { return a.eps * 1.0003f; }
};
ASSAY_WRONG(slightly_larger_eps, SlightlyLargerEps,
            .bug = "eps 0.03 % too large, hidden by the bound of a running sum",
            .caught_by = {"bias"}, .problem = kLongSums, .numerics = running_sum);

// Bounds so wide that zeros would pass, over outputs that are right.
ASSAY_WRONG(
    declares_anything, Correct,
    .bug = "declares f16 sums of height 64, which it does not have: every interval holds",
    .caught_by = {"power"}, .problem = "attnres_fwd N=5 Q=3 T=37 D=264",
    .numerics = [](const Problem& p) {
      Numerics numerics = correct_numerics(p);
      numerics.accumulate = DType::f16;
      numerics.summation_height = 64;
      return numerics;
    });

// The order of the sources is free: every one has right results, with other last bits.
struct OrderByTokens : Correct {
  ASSAY_DEVICE static int turn(const Arguments& a, std::int64_t) {
    return static_cast<int>(a.tokens % a.sources);
  }
};
ASSAY_WRONG(order_by_tokens, OrderByTokens,
            .bug = "the order of summation depends on T, declared batch-invariant",
            .caught_by = {"batch"}, .problem = "attnres_fwd N=9 Q=3 T=38 D=72",
            .repeatability = Repeatability::batch_invariant);

struct OrderByPosition : Correct {
  ASSAY_DEVICE static int turn(const Arguments& a, std::int64_t t) {
    return static_cast<int>(t % a.sources);
  }
};
ASSAY_WRONG(order_by_position, OrderByPosition,
            .bug = "the order of summation depends on the token's place, declared batch-invariant",
            .caught_by = {"batch"}, .problem = "attnres_fwd N=9 Q=3 T=37 D=72",
            .repeatability = Repeatability::batch_invariant);

struct OrderByStaleOutput : Correct {
  ASSAY_DEVICE static int turn(const Arguments& a, std::int64_t t) {
    const float old = AnyInput{a.lse.data, a.lse.dtype}.load(t);
    return old == old ? a.sources / 2 : 0;
  }
};
ASSAY_WRONG(order_by_stale_output, OrderByStaleOutput,
            .bug = "the order of summation depends on what LSE held before",
            .caught_by = caught_on({.cuda = {"repeat"},
                                    .plain = {"repeat"},
                                    .race = {"uninitialised"},
                                    .address = {"repeat"}}),
            .problem = "attnres_fwd N=9 Q=3 T=37 D=72");

// 0·NaN is a NaN: a tile with one takes another path for all of its tokens.
struct OrderByNeighbour : Correct {
  ASSAY_DEVICE static int turn(const Arguments& a, std::int64_t t) {
    float sums[2] = {};
    for (int n = 0; n < a.sources; ++n) {
      for (int d = thread_index(); d < a.dim; d += kThreads)
        sums[0] += 0 * a.v.load(Correct::row(a, n, (t + 1) % a.tokens) + d);
    }
    block_sums<Correct>(sums);
    return sums[0] == sums[0] ? 0 : a.sources / 2;
  }
};
ASSAY_WRONG(order_by_neighbour, OrderByNeighbour,
            .bug = "a NaN or Inf in the next token changes the order of summation",
            .caught_by = {"isolation"}, .problem = "attnres_fwd dtype=f32 N=9 Q=3 T=37 D=72");

struct AddsZeroTimesOthers : Correct {
  ASSAY_DEVICE static float final_sum(float z, float, const Arguments& a) {
    float spread = 0;
    for (std::int64_t row = 0; row < a.sources * a.tokens; ++row)
      spread += 0 * a.v.load(row * a.dim + thread_index() % a.dim);
    return z + spread;
  }
};
ASSAY_WRONG(adds_zero_times_others, AddsZeroTimesOthers,
            .bug = "other tokens are masked by multiplying with 0, which keeps their NaNs",
            .caught_by = {"interval"}, .problem = "attnres_fwd N=2 Q=1 T=37 D=8");

}  // namespace assay::ASSAY_TWIN::liars_attnres_fwd
