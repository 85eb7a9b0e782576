// Wrong norms: r = 1/√(mean V² + eps).
#include "kernels/liars/attnres_fwd/liar.h"

namespace assay::ASSAY_TWIN::liars_attnres_fwd {

struct OmitsNorm : Correct {
  ASSAY_DEVICE static float reciprocal_rms(float, float) { return 1; }
};
ASSAY_WRONG(omits_norm, OmitsNorm, .bug = "logits of V, not of normalised V",
            .caught_by = {"interval"});

struct OmitsRoot : Correct {
  ASSAY_DEVICE static float reciprocal_rms(float mean, float eps) { return 1 / (mean + eps); }
};
ASSAY_WRONG(omits_root, OmitsRoot, .bug = "r squared: 1/(mean V² + eps)",
            .caught_by = {"interval"});

struct OmitsEps : Correct {
  ASSAY_DEVICE static float eps(const Arguments&) { return 0; }
};
ASSAY_WRONG(omits_eps, OmitsEps, .bug = "eps is not added", .caught_by = {"interval"});

struct EpsOutsideRoot : Correct {
  ASSAY_DEVICE static float reciprocal_rms(float mean, float eps) {
    return 1 / (sqrtf(mean) + eps);
  }
};
ASSAY_WRONG(eps_outside_root, EpsOutsideRoot, .bug = "1/(√mean V² + eps)",
            .caught_by = {"interval"});

struct EpsBeforeMean : Correct {
  ASSAY_DEVICE static float mean(float sum, const Arguments& a) {
    return (sum + a.eps) / static_cast<float>(a.dim);
  }
  ASSAY_DEVICE static float eps(const Arguments&) { return 0; }
};
ASSAY_WRONG(eps_before_mean, EpsBeforeMean, .bug = "eps is added to the sum, not to the mean",
            .caught_by = {"interval"});

struct EpsClamps : Correct {
  ASSAY_DEVICE static float reciprocal_rms(float mean, float eps) {
    return reciprocal_sqrt(maximum(mean, eps));
  }
};
ASSAY_WRONG(eps_clamps, EpsClamps, .bug = "max(mean V², eps) for their sum",
            .caught_by = {"interval"});

// At the default eps every input gives the right outputs; scaled inputs come with a scaled eps.
struct EpsHardCoded : Correct {
  ASSAY_DEVICE static float eps(const Arguments&) { return 1e-6f; }
};
ASSAY_WRONG(eps_hard_coded, EpsHardCoded,
            .bug = "eps is 1e-6 whatever the problem says; at 1e-6 all outputs are right",
            .caught_by = {"relation"});

struct EpsInHalf : Correct {
  ASSAY_DEVICE static float eps(const Arguments& a) { return rounded<f16>(a.eps); }
};
ASSAY_WRONG(eps_in_half, EpsInHalf, .bug = "eps rounded to f16: 1e-6 becomes 1.01e-6",
            .caught_by = {"interval"});

struct MeanOverPaddedDim : Correct {
  ASSAY_DEVICE static float mean(float sum, const Arguments& a) {
    return sum / static_cast<float>((a.dim + 63) / 64 * 64);
  }
};
ASSAY_WRONG(mean_over_padded_dim, MeanOverPaddedDim,
            .bug = "the mean divides by D rounded up to 64", .caught_by = {"interval"});

struct UnbiasedMean : Correct {
  ASSAY_DEVICE static float mean(float sum, const Arguments& a) {
    return sum / static_cast<float>(a.dim - 1);
  }
};
ASSAY_WRONG(unbiased_mean, UnbiasedMean, .bug = "the mean divides by D - 1",
            .caught_by = {"interval"});

struct SumForMean : Correct {
  ASSAY_DEVICE static float mean(float sum, const Arguments&) { return sum; }
};
ASSAY_WRONG(sum_for_mean, SumForMean, .bug = "L2 norm: the sum of squares for their mean",
            .caught_by = {"interval"});

struct FirstNormForAll : Correct {
  ASSAY_DEVICE static float norm(float, float first_r) { return first_r; }
};
ASSAY_WRONG(first_norm_for_all, FirstNormForAll, .bug = "r of the first source for all sources",
            .caught_by = {"interval"}, .problem = "attnres_fwd g=1 N=2 Q=1 T=5 D=72");

struct MeanAbsolute : Correct {
  ASSAY_DEVICE static float add_square(float sum, float x) { return sum + fabsf(x); }
  ASSAY_DEVICE static float reciprocal_rms(float mean, float eps) {
    return 1 / (mean + reciprocal_sqrt(1 / eps));
  }
};
ASSAY_WRONG(mean_absolute, MeanAbsolute, .bug = "mean |V| for √mean V²", .caught_by = {"interval"});

}  // namespace assay::ASSAY_TWIN::liars_attnres_fwd
