// Correct formulas in an arithmetic that is not the declared one.
#include "kernels/liars/attnres_bwd/liar.h"

namespace assay::ASSAY_TWIN::liars_attnres_bwd {

struct BwdProbabilitiesInBf16 : Correct {
  ASSAY_DEVICE static float probability(float alpha) { return rounded<bf16>(alpha); }
};
ASSAY_WRONG(bwd_probabilities_in_bf16, BwdProbabilitiesInBf16,
            .bug = "α rounded to bf16, undeclared", .caught_by = {"interval"});

struct BwdScoresInBf16 : Correct {
  ASSAY_DEVICE static float d_score(float alpha, float gain, float delta, float d_lse) {
    return rounded<bf16>(Correct::d_score(alpha, gain, delta, d_lse));
  }
};
ASSAY_WRONG(bwd_scores_in_bf16, BwdScoresInBf16, .bug = "ds rounded to bf16, undeclared",
            .caught_by = {"interval"});

struct BwdDeltaInBf16 : Correct {
  ASSAY_DEVICE static float delta(float delta) { return rounded<bf16>(delta); }
};
ASSAY_WRONG(bwd_delta_in_bf16, BwdDeltaInBf16, .bug = "⟨dO, O⟩ rounded to bf16, undeclared",
            .caught_by = {"interval"});

struct BwdWeightsInBf16 : Correct {
  ASSAY_DEVICE static float weight(const Arguments& a, std::int64_t i) {
    return rounded<bf16>(Correct::weight(a, i));
  }
};
ASSAY_WRONG(bwd_weights_in_bf16, BwdWeightsInBf16, .bug = "w·g rounded to bf16, undeclared",
            .caught_by = {"interval"});
ASSAY_WRONG(bwd_correct, Correct, .bug = "", .caught_by = {});

}  // namespace assay::ASSAY_TWIN::liars_attnres_bwd
