// Wrong gradients of the softmax and of the norm.
#include "kernels/liars/attnres_bwd/liar.h"

namespace assay::ASSAY_TWIN::liars_attnres_bwd {

struct BwdOmitsDelta : Correct {
  ASSAY_DEVICE static float delta(float) { return 0; }
};
ASSAY_WRONG(bwd_omits_delta, BwdOmitsDelta, .bug = "the softmax's normaliser is not differentiated",
            .caught_by = {"interval"});

struct BwdIgnoresDLse : Correct {
  ASSAY_DEVICE static float d_lse(const Arguments&, int, std::int64_t) { return 0; }
};
ASSAY_WRONG(bwd_ignores_dlse, BwdIgnoresDLse, .bug = "dLSE is not used", .caught_by = {"interval"});

struct BwdNegatesDLse : Correct {
  ASSAY_DEVICE static float d_score(float alpha, float gain, float delta, float d_lse) {
    return alpha * (gain - delta - d_lse);
  }
};
ASSAY_WRONG(bwd_negates_dlse, BwdNegatesDLse, .bug = "dLSE has the wrong sign",
            .caught_by = {"interval"});

struct BwdDLseOfFirstQuery : Correct {
  ASSAY_DEVICE static float d_lse(const Arguments& a, int, std::int64_t t) {
    return Correct::d_lse(a, 0, t);
  }
};
ASSAY_WRONG(bwd_dlse_of_first_query, BwdDLseOfFirstQuery,
            .bug = "all queries use the first one's dLSE", .caught_by = {"interval"});

struct BwdSigmoidGradient : Correct {
  ASSAY_DEVICE static float d_score(float alpha, float gain, float delta, float d_lse) {
    return alpha * (1 - alpha) * (gain - delta) + alpha * d_lse;
  }
};
ASSAY_WRONG(bwd_sigmoid_gradient, BwdSigmoidGradient,
            .bug = "the softmax's gradient has a sigmoid's factor 1 - α",
            .caught_by = {"interval"});

struct BwdOmitsProjection : Correct {
  ASSAY_DEVICE static float radial(float, const Score&, const Arguments&) { return 0; }
};
ASSAY_WRONG(bwd_omits_projection, BwdOmitsProjection, .bug = "the norm is taken for a constant",
            .caught_by = {"interval"});

struct BwdAddsProjection : Correct {
  ASSAY_DEVICE static float radial(float ds, const Score& s, const Arguments& a) {
    return -Correct::radial(ds, s, a);
  }
};
ASSAY_WRONG(bwd_adds_projection, BwdAddsProjection, .bug = "the projection has the wrong sign",
            .caught_by = {"interval"});

struct BwdRstdForCube : Correct {
  ASSAY_DEVICE static float radial(float ds, const Score& s, const Arguments& a) {
    return ds * s.l * s.r / static_cast<float>(a.dim);
  }
};
ASSAY_WRONG(bwd_rstd_for_cube, BwdRstdForCube, .bug = "the projection has one power of r too few",
            .caught_by = {"interval"});

struct BwdProjectsSum : Correct {
  ASSAY_DEVICE static float radial(float ds, const Score& s, const Arguments&) {
    return ds * s.l * s.r * s.r;
  }
};
ASSAY_WRONG(bwd_projects_sum, BwdProjectsSum, .bug = "the projection is not divided by D",
            .caught_by = {"interval"});

struct BwdKeyWithoutRstd : Correct {
  ASSAY_DEVICE static float key(float ds, const Score&) { return ds; }
};
ASSAY_WRONG(bwd_key_without_rstd, BwdKeyWithoutRstd, .bug = "dV takes ds c, not ds r c",
            .caught_by = {"interval"});

struct BwdOmitsEps : Correct {
  ASSAY_DEVICE static float reciprocal_rms(float mean, float) { return reciprocal_sqrt(mean); }
};
ASSAY_WRONG(bwd_omits_eps, BwdOmitsEps, .bug = "eps is left out", .caught_by = {"interval"});

struct BwdOmitsMaximum : Correct {
  ASSAY_DEVICE static float start_of_maximum() { return 0; }
};
ASSAY_WRONG(bwd_maximum_from_zero, BwdOmitsMaximum,
            .bug = "the maximum starts at 0: logits far below vanish", .caught_by = {"interval"});

struct BwdScaledDelta : Correct {
  ASSAY_DEVICE static float delta(float delta) { return 0.99f * delta; }
};
ASSAY_WRONG(bwd_scaled_delta, BwdScaledDelta, .bug = "⟨dO, O⟩ is 1 % too small",
            .caught_by = {"interval"});

}  // namespace assay::ASSAY_TWIN::liars_attnres_bwd
