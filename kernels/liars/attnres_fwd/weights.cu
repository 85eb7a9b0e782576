// Wrong uses of the pseudo-queries w and the norm's weights g, which belong in the logits only.
#include "kernels/liars/attnres_fwd/liar.h"

namespace assay::ASSAY_TWIN::liars_attnres_fwd {

struct IgnoresG : Correct {
  ASSAY_DEVICE static float weight(const Arguments& a, int q, int d) {
    return a.w.load(static_cast<std::int64_t>(q) * a.dim + d);
  }
};
ASSAY_WRONG(ignores_g, IgnoresG, .bug = "g is not applied", .caught_by = {"interval"});

struct AppliesGTwice : Correct {
  ASSAY_DEVICE static float weight(const Arguments& a, int q, int d) {
    const float g = a.g.present() ? a.g.load(static_cast<std::int64_t>(q) * a.dim + d) : 1.0f;
    return Correct::weight(a, q, d) * g;
  }
};
ASSAY_WRONG(applies_g_twice, AppliesGTwice, .bug = "w·g²", .caught_by = {"interval"});

struct AddsOneToG : Correct {
  ASSAY_DEVICE static float weight(const Arguments& a, int q, int d) {
    return Correct::weight(a, q, d) + a.w.load(static_cast<std::int64_t>(q) * a.dim + d);
  }
};
ASSAY_WRONG(adds_one_to_g, AddsOneToG, .bug = "1 + g for g, as some models store it",
            .caught_by = {"interval"});

struct AppliesGToValues : Correct {
  ASSAY_DEVICE static float value(const Arguments& a, float x, float, int q, int d) {
    return a.g.present() ? x * a.g.load(static_cast<std::int64_t>(q) * a.dim + d) : x;
  }
};
ASSAY_WRONG(applies_g_to_values, AppliesGToValues, .bug = "mixes g·V", .caught_by = {"interval"});

struct MixesNormalised : Correct {
  ASSAY_DEVICE static float value(const Arguments&, float x, float r, int, int) { return x * r; }
};
ASSAY_WRONG(mixes_normalised, MixesNormalised, .bug = "mixes normalised V",
            .caught_by = {"interval"});

struct AbsoluteWeights : Correct {
  ASSAY_DEVICE static float weight(const Arguments& a, int q, int d) {
    return fabsf(Correct::weight(a, q, d));
  }
};
ASSAY_WRONG(absolute_weights, AbsoluteWeights, .bug = "|w·g|", .caught_by = {"interval"});

struct WeightsOfFirstQuery : Correct {
  ASSAY_DEVICE static float weight(const Arguments& a, int, int d) {
    return Correct::weight(a, 0, d);
  }
};
ASSAY_WRONG(weights_of_first_query, WeightsOfFirstQuery,
            .bug = "all queries use those of the first", .caught_by = {"interval"},
            .problem = "attnres_fwd N=2 Q=2 T=3 D=8");

struct SharesG : Correct {
  ASSAY_DEVICE static float weight(const Arguments& a, int q, int d) {
    return a.w.load(static_cast<std::int64_t>(q) * a.dim + d) *
           (a.g.present() ? a.g.load(d) : 1.0f);
  }
};
ASSAY_WRONG(shares_g, SharesG, .bug = "g of the first query for all queries",
            .caught_by = {"interval"}, .problem = "attnres_fwd g=1 N=2 Q=2 T=3 D=8");

struct TransposesWeights : Correct {
  ASSAY_DEVICE static float weight(const Arguments& a, int q, int d) {
    const std::int64_t i = static_cast<std::int64_t>(d) * a.queries + q;
    return a.w.load(i) * (a.g.present() ? a.g.load(i) : 1.0f);
  }
};
ASSAY_WRONG(transposes_weights, TransposesWeights, .bug = "reads w and g as (D, Q)",
            .caught_by = {"interval"}, .problem = "attnres_fwd N=2 Q=2 T=3 D=8");

struct RotatesWeights : Correct {
  ASSAY_DEVICE static float weight(const Arguments& a, int q, int d) {
    return Correct::weight(a, q, (d + 1) % a.dim);
  }
};
ASSAY_WRONG(rotates_weights, RotatesWeights, .bug = "weights are off by one element",
            .caught_by = {"interval"}, .problem = "attnres_fwd N=2 Q=1 T=3 D=8");

struct ScalesByRootDim : Correct {
  ASSAY_DEVICE static float logit(float l, const Arguments& a) {
    return l * reciprocal_sqrt(static_cast<float>(a.dim));
  }
};
ASSAY_WRONG(scales_by_root_dim, ScalesByRootDim, .bug = "logits divided by √D, as in attention",
            .caught_by = {"interval"}, .problem = "attnres_fwd N=2 Q=1 T=3 D=8");

struct OnePercentHotter : Correct {
  ASSAY_DEVICE static float logit(float l, const Arguments&) { return l * 1.01f; }
};
ASSAY_WRONG(one_percent_hotter, OnePercentHotter, .bug = "logits 1 % too large",
            .caught_by = {"interval"});

}  // namespace assay::ASSAY_TWIN::liars_attnres_fwd
