// Wrong gradients of the two weights and of the norm.
#include "kernels/liars/attnres_merge_bwd/liar.h"

namespace assay::ASSAY_TWIN::liars_attnres_merge_bwd {

struct MergeBwdOmitsRest : Correct {
  ASSAY_DEVICE static float s(const Merge& m, float gain) { return m.beta * gain; }
};
ASSAY_WRONG(merge_bwd_omits_rest, MergeBwdOmitsRest, .bug = "s has no factor 1 - β",
            .caught_by = {"interval"});

struct MergeBwdOmitsBeta : Correct {
  ASSAY_DEVICE static float s(const Merge& m, float gain) { return m.rest * gain; }
};
ASSAY_WRONG(merge_bwd_omits_beta, MergeBwdOmitsBeta, .bug = "s has no factor β",
            .caught_by = {"interval"});

struct MergeBwdDetachesWeights : Correct {
  ASSAY_DEVICE static float s(const Merge&, float) { return 0; }
};
ASSAY_WRONG(merge_bwd_detaches_weights, MergeBwdDetachesWeights,
            .bug = "the weights are taken for constants, but for dLSE", .caught_by = {"interval"});

struct MergeBwdGainOfP : Correct {
  ASSAY_DEVICE static float gain(const Merge& m) { return m.by_p; }
};
ASSAY_WRONG(merge_bwd_gain_of_p, MergeBwdGainOfP, .bug = "⟨dH, P⟩ for ⟨dH, P - O1⟩",
            .caught_by = {"interval"});

struct MergeBwdGainOfSum : Correct {
  ASSAY_DEVICE static float gain(const Merge& m) { return m.by_p + m.by_o1; }
};
ASSAY_WRONG(merge_bwd_gain_of_sum, MergeBwdGainOfSum, .bug = "⟨dH, P + O1⟩ for ⟨dH, P - O1⟩",
            .caught_by = {"interval"});

struct MergeBwdScaledGain : Correct {
  ASSAY_DEVICE static float gain(const Merge& m) { return 1.002f * m.gain; }
};
ASSAY_WRONG(merge_bwd_scaled_gain, MergeBwdScaledGain, .bug = "⟨dH, P - O1⟩ is 0.2 % too large",
            .caught_by = {"interval"});

struct MergeBwdIgnoresDLse : Correct {
  ASSAY_DEVICE static float d_lse(const Arguments&, std::int64_t) { return 0; }
};
ASSAY_WRONG(merge_bwd_ignores_dlse, MergeBwdIgnoresDLse, .bug = "dLSE is not used",
            .caught_by = {"interval"});

struct MergeBwdNegatesDLse : Correct {
  ASSAY_DEVICE static float d_logit(const Merge& m, float s, float d_lse) {
    return s - m.beta * d_lse;
  }
};
ASSAY_WRONG(merge_bwd_negates_dlse, MergeBwdNegatesDLse, .bug = "dLSE has the wrong sign in dl",
            .caught_by = {"interval"});

struct MergeBwdWholeDLse : Correct {
  ASSAY_DEVICE static float d_logit(const Merge&, float s, float d_lse) { return s + d_lse; }
};
ASSAY_WRONG(merge_bwd_whole_dlse, MergeBwdWholeDLse, .bug = "dl takes all of dLSE, not β of it",
            .caught_by = {"interval"});

struct MergeBwdL1OfL : Correct {
  ASSAY_DEVICE static float d_l1(const Merge& m, float s, float d_lse) {
    return s + m.rest * d_lse;
  }
};
ASSAY_WRONG(merge_bwd_l1_of_l, MergeBwdL1OfL, .bug = "dL1 has s with the sign of dl",
            .caught_by = {"interval"});

struct MergeBwdL1WithoutDLse : Correct {
  ASSAY_DEVICE static float d_l1(const Merge&, float s, float) { return -s; }
};
ASSAY_WRONG(merge_bwd_l1_without_dlse, MergeBwdL1WithoutDLse, .bug = "dL1 knows nothing of dLSE",
            .caught_by = {"interval"});

struct MergeBwdExchangesWeights : Correct {
  ASSAY_DEVICE static float of_h(const Merge& m) { return m.rest; }
  ASSAY_DEVICE static float of_o1(const Merge& m) { return m.beta; }
};
ASSAY_WRONG(merge_bwd_exchanges_weights, MergeBwdExchangesWeights,
            .bug = "dP has (1 - β) dH, dO1 has β dH", .caught_by = {"interval"});

struct MergeBwdTanh : Correct {
  ASSAY_DEVICE static void weigh(Merge& m, float l1) {
    const float x = m.l - l1, odds = exp2_approx((x < 0 ? x : -x) * kLog2E);
    const float tangent = (1 - odds) / (1 + odds);  // of |x| / 2
    m.beta = 0.5f + 0.5f * (x < 0 ? -tangent : tangent);
    m.rest = 1 - m.beta;
  }
};
ASSAY_WRONG(merge_bwd_tanh, MergeBwdTanh, .bug = "β = (1 + tanh(x / 2)) / 2 errs absolutely",
            .caught_by = {"interval"}, .problem = "attnres_merge_bwd dtype=f32 T=37 D=72");

struct MergeBwdOverflows : Correct {
  ASSAY_DEVICE static void weigh(Merge& m, float l1) {
    const float odds = exp2_approx((m.l - l1) * kLog2E);
    m.beta = odds / (1 + odds);
    m.rest = 1 / (1 + odds);
  }
};
ASSAY_WRONG(merge_bwd_overflows, MergeBwdOverflows, .bug = "e^(l - L1) overflows, and β is a NaN",
            .caught_by = {"interval"}, .problem = "attnres_merge_bwd T=37 D=72");

struct MergeBwdOmitsEps : Correct {
  ASSAY_DEVICE static float reciprocal_rms(float mean, float) { return reciprocal_sqrt(mean); }
};
ASSAY_WRONG(merge_bwd_omits_eps, MergeBwdOmitsEps, .bug = "eps is left out",
            .caught_by = {"interval"});

struct MergeBwdOmitsNorm : Correct {
  ASSAY_DEVICE static float reciprocal_rms(float, float) { return 1; }
};
ASSAY_WRONG(merge_bwd_omits_norm, MergeBwdOmitsNorm, .bug = "P is not normalised",
            .caught_by = {"interval"});

struct MergeBwdHotter : Correct {
  ASSAY_DEVICE static float logit(float sum, float r) { return 1.01f * sum * r; }
};
ASSAY_WRONG(merge_bwd_hotter, MergeBwdHotter, .bug = "the logit is 1 % too large",
            .caught_by = {"interval"});

}  // namespace assay::ASSAY_TWIN::liars_attnres_merge_bwd
