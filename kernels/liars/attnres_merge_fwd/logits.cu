// Wrong logits: l = Σ c P / √(mean P² + eps), c = w⊙g.
#include "kernels/liars/attnres_merge_fwd/liar.h"

namespace assay::ASSAY_TWIN::liars_attnres_merge_fwd {

struct MergeOmitsNorm : Correct {
  ASSAY_DEVICE static float logit(float, float sum, const Arguments&) { return sum; }
};
ASSAY_WRONG(merge_omits_norm, MergeOmitsNorm, .bug = "P is not normalised",
            .caught_by = {"interval"});

struct MergeOmitsEps : Correct {
  ASSAY_DEVICE static float reciprocal_rms(float mean, float) { return reciprocal_sqrt(mean); }
};
ASSAY_WRONG(merge_omits_eps, MergeOmitsEps, .bug = "eps is left out", .caught_by = {"interval"});

struct MergeEpsOutside : Correct {
  ASSAY_DEVICE static float reciprocal_rms(float mean, float eps) {
    return 1 / (1 / reciprocal_sqrt(mean) + eps);
  }
};
ASSAY_WRONG(merge_eps_outside, MergeEpsOutside, .bug = "eps is added to the root",
            .caught_by = {"interval"});

struct MergeSumsSquares : Correct {
  ASSAY_DEVICE static float mean(float sum, const Arguments&) { return sum; }
};
ASSAY_WRONG(merge_sums_squares, MergeSumsSquares, .bug = "the sum of squares, not their mean",
            .caught_by = {"interval"});

struct MergeIgnoresG : Correct {
  ASSAY_DEVICE static float weight(const Arguments& a, int d) { return a.w.load(d); }
};
ASSAY_WRONG(merge_ignores_g, MergeIgnoresG, .bug = "g is not applied", .caught_by = {"interval"});

struct MergeAppliesGTwice : Correct {
  ASSAY_DEVICE static float weight(const Arguments& a, int d) {
    return Correct::weight(a, d) * (a.g.present() ? a.g.load(d) : 1.0f);
  }
};
ASSAY_WRONG(merge_applies_g_twice, MergeAppliesGTwice, .bug = "g is applied twice",
            .caught_by = {"interval"});

struct MergeDropsLastColumn : Correct {
  ASSAY_DEVICE static int sum_dim(const Arguments& a) { return a.dim > 1 ? a.dim - 1 : a.dim; }
};
ASSAY_WRONG(merge_drops_last_column, MergeDropsLastColumn, .bug = "the last column is not scored",
            .caught_by = {"interval"});

struct MergeLogitsInBf16 : Correct {
  ASSAY_DEVICE static float logit(float r, float sum, const Arguments&) {
    return rounded<bf16>(r * sum);
  }
};
ASSAY_WRONG(merge_logits_in_bf16, MergeLogitsInBf16, .bug = "logits rounded to bf16, undeclared",
            .caught_by = {"interval"});

struct MergeWeightsInBf16 : Correct {
  ASSAY_DEVICE static float weight(const Arguments& a, int d) {
    return rounded<bf16>(Correct::weight(a, d));
  }
};
ASSAY_WRONG(merge_weights_in_bf16, MergeWeightsInBf16, .bug = "w·g rounded to bf16, undeclared",
            .caught_by = {"interval"});
ASSAY_WRONG(
    merge_correct_bf16_weights, MergeWeightsInBf16, .bug = "", .caught_by = {},
    .numerics = [](const Problem& p) {
      Numerics numerics = correct_numerics(p);
      numerics.weights = DType::bf16;
      return numerics;
    });

struct MergeProbabilitiesInBf16 : Correct {
  ASSAY_DEVICE static float sigmoid(float x) { return rounded<bf16>(Correct::sigmoid(x)); }
};
ASSAY_WRONG(merge_probabilities_in_bf16, MergeProbabilitiesInBf16,
            .bug = "β rounded to bf16, undeclared", .caught_by = {"interval"});
ASSAY_WRONG(
    merge_correct_bf16_probabilities, MergeProbabilitiesInBf16, .bug = "", .caught_by = {},
    .numerics = [](const Problem& p) {
      Numerics numerics = correct_numerics(p);
      numerics.probabilities = DType::bf16;
      return numerics;
    });

// The other algebraic form, which the same bound must hold.
struct MergeConvex : Correct {
  ASSAY_DEVICE static float mix(float beta, float p, float o1) {
    return (1 - beta) * o1 + beta * p;
  }
};
ASSAY_WRONG(merge_correct_convex, MergeConvex, .bug = "", .caught_by = {},
            .problem = "attnres_merge_fwd g=1 u=1 T=37 D=72",
            .repeatability = Repeatability::batch_invariant);
ASSAY_WRONG(merge_correct, Correct, .bug = "", .caught_by = {},
            .repeatability = Repeatability::batch_invariant);

// A running sum of D = 1024 may err by g = 1.2e-4 of Σ|c P|: enough for a factor of the logits that
// is off by a multiple of g.
struct MergeSlightlyHotter : Correct {
  ASSAY_DEVICE static float logit(float r, float sum, const Arguments&) {
    return r * sum * 1.00021f;
  }
};
ASSAY_WRONG(
    merge_slightly_hotter, MergeSlightlyHotter,
    .bug = "logits 0.021 % too large, hidden by the bound of a running sum", .caught_by = {"bias"},
    .problem = "attnres_merge_fwd g=1 T=160 D=1024", .numerics = [](const Problem& p) {
      return Numerics{.summation_height = height(p.dim("D"), 1)};
    });

}  // namespace assay::ASSAY_TWIN::liars_attnres_merge_fwd
