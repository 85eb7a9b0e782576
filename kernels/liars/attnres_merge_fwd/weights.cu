// Wrong weights and logarithms: β = σ(l - L1), LSE = log(e^L1 + e^l).
#include "kernels/liars/attnres_merge_fwd/liar.h"

namespace assay::ASSAY_TWIN::liars_attnres_merge_fwd {

struct MergeSignFlipped : Correct {
  ASSAY_DEVICE static float difference(float l, float l1) { return l1 - l; }
};
ASSAY_WRONG(merge_sign_flipped, MergeSignFlipped, .bug = "β = σ(L1 - l): the weights exchanged",
            .caught_by = {"interval"}, .problem = "attnres_merge_fwd T=3 D=8");

struct MergeIgnoresL1 : Correct {
  ASSAY_DEVICE static float difference(float l, float) { return l; }
};
ASSAY_WRONG(merge_ignores_l1, MergeIgnoresL1, .bug = "β = σ(l): L1 plays no part",
            .caught_by = {"interval"}, .problem = "attnres_merge_fwd T=3 D=8");

struct MergeBaseTwo : Correct {
  ASSAY_DEVICE static float sigmoid(float x) { return 1 / (1 + exp2_approx(-x)); }
};
ASSAY_WRONG(merge_base_two, MergeBaseTwo, .bug = "2^x for e^x in β", .caught_by = {"interval"});

struct MergeOverflows : Correct {
  ASSAY_DEVICE static float sigmoid(float x) { return natural_exp(x) / (1 + natural_exp(x)); }
};
ASSAY_WRONG(merge_overflows, MergeOverflows, .bug = "β = e^x/(1 + e^x), inf/inf beyond x = 88",
            .caught_by = {"interval"}, .problem = "attnres_merge_fwd g=1 u=1 T=37 D=72");

// Without the difference first: each exponential leaves fp32 by itself.
struct MergeOmitsMaximum : Correct {
  ASSAY_DEVICE static float lse(float l, float l1) {
    return log_accurate(natural_exp(l) + natural_exp(l1));
  }
};
ASSAY_WRONG(merge_omits_maximum, MergeOmitsMaximum, .bug = "LSE without subtracting the maximum",
            .caught_by = {"interval"});

// An error of an ulp of 1, wherever β is.
struct MergeByTanh : Correct {
  ASSAY_DEVICE static float sigmoid(float x) {
    const float odds = natural_exp(-(x < 0 ? -x : x)), tanh = (1 - odds) / (1 + odds);
    return 0.5f + 0.5f * (x < 0 ? -tanh : tanh);
  }
};
ASSAY_WRONG(merge_by_tanh, MergeByTanh,
            .bug = "β = (1 + tanh(x/2))/2: wrong where β is tiny, and 0 below 2^-25",
            .caught_by = {"interval"}, .problem = "attnres_merge_fwd dtype=f32 T=37 D=72");

struct MergeClampsOdds : Correct {
  ASSAY_DEVICE static float sigmoid(float x) {
    return Correct::sigmoid(x < -8 ? -8 : x > 8 ? 8 : x);
  }
};
ASSAY_WRONG(merge_clamps_odds, MergeClampsOdds, .bug = "x is clamped to ±8",
            .caught_by = {"interval"});

struct MergePicksLarger : Correct {
  ASSAY_DEVICE static float mix(float beta, float p, float o1) {
    return beta > 0.5f ? p : Correct::mix(beta, p, o1);
  }
};
ASSAY_WRONG(merge_picks_larger, MergePicksLarger, .bug = "H = P where β > 1/2",
            .caught_by = {"interval"});

struct MergeAddsBoth : Correct {
  ASSAY_DEVICE static float mix(float beta, float p, float o1) { return o1 + beta * p; }
};
ASSAY_WRONG(merge_adds_both, MergeAddsBoth, .bug = "H = O1 + β P", .caught_by = {"interval"},
            .problem = "attnres_merge_fwd T=3 D=8");

struct MergeLseBaseTwo : Correct {
  ASSAY_DEVICE static float lse(float l, float l1) { return Correct::lse(l, l1) * kLog2E; }
};
ASSAY_WRONG(merge_lse_base_two, MergeLseBaseTwo, .bug = "LSE to the base 2",
            .caught_by = {"interval"}, .problem = "attnres_merge_fwd T=3 D=8");

struct MergeKeepsLse : Correct {
  ASSAY_DEVICE static float lse(float, float l1) { return l1; }
};
ASSAY_WRONG(merge_keeps_lse, MergeKeepsLse, .bug = "LSE is L1: the sum lacks this block",
            .caught_by = {"interval"}, .problem = "attnres_merge_fwd T=3 D=8");

struct MergeLseIsMaximum : Correct {
  ASSAY_DEVICE static float lse(float l, float l1) { return maximum(l, l1); }
};
ASSAY_WRONG(merge_lse_is_maximum, MergeLseIsMaximum, .bug = "LSE is the larger of L1 and l",
            .caught_by = {"interval"});

struct MergeOmitsSmallLse : Correct {
  ASSAY_DEVICE static float lse(float l, float l1) {
    const float x = l - l1, size = x < 0 ? -x : x;
    return size > 6 ? maximum(l, l1) : Correct::lse(l, l1);
  }
};
ASSAY_WRONG(merge_omits_small_lse, MergeOmitsSmallLse,
            .bug = "what adds less than 0.25 % to LSE's sum is left out", .caught_by = {"interval"},
            .problem = "attnres_merge_fwd g=1 T=37 D=72");

struct MergeHidesNan : Correct {
  ASSAY_DEVICE static float sigmoid(float x) { return x == x ? Correct::sigmoid(x) : 0; }
};
ASSAY_WRONG(merge_hides_nan, MergeHidesNan, .bug = "a NaN in P, U or L1 makes H = O1",
            .caught_by = {"interval"}, .problem = "attnres_merge_fwd T=3 D=72");

}  // namespace assay::ASSAY_TWIN::liars_attnres_merge_fwd
