// Wrong gradients of w and g, and correct formulas in an arithmetic that is not the declared one.
#include "kernels/liars/attnres_merge_bwd/liar.h"

namespace assay::ASSAY_TWIN::liars_attnres_merge_bwd {

struct MergeBwdSquaresG : Correct {
  ASSAY_DEVICE static float d_w(const Arguments& a, std::int64_t d, float x) {
    return Correct::d_w(a, d, Correct::d_w(a, d, x));
  }
};
ASSAY_WRONG(merge_bwd_squares_g, MergeBwdSquaresG, .bug = "dw = g² X", .caught_by = {"interval"});

struct MergeBwdSwapsWeights : Correct {
  ASSAY_DEVICE static float d_w(const Arguments& a, std::int64_t d, float x) {
    return a.g.present() ? Correct::d_g(a, d, x) : x;
  }
  ASSAY_DEVICE static float d_g(const Arguments& a, std::int64_t d, float x) {
    return Correct::d_w(a, d, x);
  }
};
ASSAY_WRONG(merge_bwd_swaps_weights, MergeBwdSwapsWeights, .bug = "dw and dg are exchanged",
            .caught_by = {"interval"});

struct MergeBwdXWithoutRstd : Correct {
  ASSAY_DEVICE static float x_key(float dl, const Merge&) { return dl; }
};
ASSAY_WRONG(merge_bwd_x_without_rstd, MergeBwdXWithoutRstd, .bug = "X sums dl P, not dl r P",
            .caught_by = {"interval"});

struct MergeBwdDropsLastToken : Correct {
  ASSAY_DEVICE static std::int64_t x_tokens(const Arguments& a) {
    return a.tokens > 1 ? a.tokens - 1 : a.tokens;
  }
};
ASSAY_WRONG(merge_bwd_drops_last_token, MergeBwdDropsLastToken,
            .bug = "the last token is missing from dw, dg", .caught_by = {"interval"});
// Beside so many others that only cotangents of a few tokens show it.
ASSAY_WRONG(merge_bwd_drops_one_of_many, MergeBwdDropsLastToken,
            .bug = "one of 700 tokens is missing from dw, dg", .caught_by = {"interval"},
            .problem = "attnres_merge_bwd T=700 D=24");

struct MergeBwdScalesX : Correct {
  ASSAY_DEVICE static float x_key(float dl, const Merge& m) { return 1.002f * dl * m.r; }
};
ASSAY_WRONG(merge_bwd_scales_x, MergeBwdScalesX, .bug = "dw and dg are 0.2 % too large",
            .caught_by = {"interval"});

struct MergeBwdBetaInBf16 : Correct {
  ASSAY_DEVICE static void weigh(Merge& m, float l1) {
    Correct::weigh(m, l1);
    m.beta = rounded<bf16>(m.beta);
    m.rest = rounded<bf16>(m.rest);
  }
};
ASSAY_WRONG(merge_bwd_beta_in_bf16, MergeBwdBetaInBf16, .bug = "β rounded to bf16, undeclared",
            .caught_by = {"interval"});

struct MergeBwdGradientInBf16 : Correct {
  ASSAY_DEVICE static float d_logit(const Merge& m, float s, float d_lse) {
    return rounded<bf16>(Correct::d_logit(m, s, d_lse));
  }
};
ASSAY_WRONG(merge_bwd_gradient_in_bf16, MergeBwdGradientInBf16,
            .bug = "dl rounded to bf16, undeclared", .caught_by = {"interval"});

struct MergeBwdWeightsInBf16 : Correct {
  ASSAY_DEVICE static float weight(const Arguments& a, std::int64_t d) {
    return rounded<bf16>(Correct::weight(a, d));
  }
};
ASSAY_WRONG(merge_bwd_weights_in_bf16, MergeBwdWeightsInBf16,
            .bug = "w·g rounded to bf16, undeclared", .caught_by = {"interval"});

ASSAY_WRONG(merge_bwd_correct, Correct, .bug = "", .caught_by = {});

}  // namespace assay::ASSAY_TWIN::liars_attnres_merge_bwd
