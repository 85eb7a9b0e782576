// Wrong softmaxes over the sources.
#include "kernels/liars/attnres_fwd/liar.h"

namespace assay::ASSAY_TWIN::liars_attnres_fwd {

struct OmitsMaximum : Correct {
  ASSAY_DEVICE static float first_maximum() { return 0; }
  ASSAY_DEVICE static float larger(float, float) { return 0; }
};
ASSAY_WRONG(omits_maximum, OmitsMaximum,
            .bug = "no maximum is subtracted: exponentials of large logits overflow",
            .caught_by = {"interval"}, .problem = "attnres_fwd g=1 N=5 Q=2 T=37 D=72");

struct MaximumFromZero : Correct {
  ASSAY_DEVICE static float first_maximum() { return 0; }
};
ASSAY_WRONG(maximum_from_zero, MaximumFromZero,
            .bug = "the maximum starts at 0: very negative logits all underflow",
            .caught_by = {"interval"}, .problem = "attnres_fwd g=1 N=2 Q=2 T=37 D=72");

struct OmitsRescale : Correct {
  ASSAY_DEVICE static float rescale(float, float, int, const Arguments&) { return 1; }
};
ASSAY_WRONG(omits_rescale, OmitsRescale, .bug = "nothing is rescaled when the maximum rises",
            .caught_by = {"interval"});

struct RescalesSumOnly : Correct {
  ASSAY_DEVICE static float mix(float mixed, float, float p, float x) { return mixed + p * x; }
};
ASSAY_WRONG(rescales_sum_only, RescalesSumOnly, .bug = "the mix is not rescaled, the sum is",
            .caught_by = {"interval"});

struct RescalesMixOnly : Correct {
  ASSAY_DEVICE static float add(float z, float, float p) { return z + p; }
};
ASSAY_WRONG(rescales_mix_only, RescalesMixOnly, .bug = "the sum is not rescaled, the mix is",
            .caught_by = {"interval"});

struct RescaleInverted : Correct {
  ASSAY_DEVICE static float rescale(float m_before, float m, int i, const Arguments&) {
    return i == 0 ? 0 : natural_exp(m - m_before);
  }
};
ASSAY_WRONG(rescale_inverted, RescaleInverted, .bug = "rescales by the reciprocal factor",
            .caught_by = {"interval"});

struct RescaleMissesLast : Correct {
  ASSAY_DEVICE static float rescale(float m_before, float m, int i, const Arguments& a) {
    return i == a.sources - 1 ? 1 : natural_exp(m_before - m);
  }
};
ASSAY_WRONG(rescale_misses_last, RescaleMissesLast,
            .bug = "no rescale where the last source has the maximum", .caught_by = {"interval"},
            .problem = "attnres_fwd g=1 N=2 Q=2 T=37 D=72");

struct BaseTwo : Correct {
  ASSAY_DEVICE static float exponential(float x) { return exp2_approx(x); }
  ASSAY_DEVICE static float rescale(float m_before, float m, int, const Arguments&) {
    return exp2_approx(m_before - m);
  }
};
ASSAY_WRONG(base_two, BaseTwo, .bug = "2^x for e^x", .caught_by = {"interval"});

struct CrudeExponential : Correct {
  ASSAY_DEVICE static float exponential(float x) {
    float y = maximum(1 + x / 256, 0.0f);
    for (int i = 0; i < 8; ++i) y *= y;
    return y;
  }
};
ASSAY_WRONG(crude_exponential, CrudeExponential, .bug = "(1 + x/256)^256 for e^x",
            .caught_by = {"interval"});

struct OmitsDivision : Correct {
  ASSAY_DEVICE static float quotient(float mixed, float, const Arguments&) { return mixed; }
};
ASSAY_WRONG(omits_division, OmitsDivision, .bug = "O is not divided by the sum",
            .caught_by = {"interval"});

struct DividesByCount : Correct {
  ASSAY_DEVICE static float quotient(float mixed, float, const Arguments& a) {
    return mixed / static_cast<float>(a.sources);
  }
};
ASSAY_WRONG(divides_by_count, DividesByCount, .bug = "O is divided by N, not by the sum",
            .caught_by = {"interval"});

struct AddsToNormaliser : Correct {
  ASSAY_DEVICE static float quotient(float mixed, float z, const Arguments&) {
    return mixed / (z + 1e-4f);
  }
};
ASSAY_WRONG(adds_to_normaliser, AddsToNormaliser, .bug = "O is divided by the sum + 1e-4",
            .caught_by = {"interval"});

// An ulp of f32 where z is 1, 2 or 4: far inside every bound.
struct AddsTinyToNormaliser : Correct {
  ASSAY_DEVICE static float quotient(float mixed, float z, const Arguments&) {
    return mixed / (z + 3e-7f);
  }
};
ASSAY_WRONG(adds_tiny_to_normaliser, AddsTinyToNormaliser,
            .bug =
                "O is divided by the sum + 3e-7: inside every interval, but an ulp off where O "
                "can be exact",
            .caught_by = {"exact"}, .problem = "attnres_fwd dtype=f32 N=5 Q=2 T=5 D=72");

struct DropsSmall : Correct {
  ASSAY_DEVICE static float probability(float p, float, float) { return p < 0.01f ? 0 : p; }
};
ASSAY_WRONG(drops_small, DropsSmall, .bug = "weights below 1 % of the largest count as 0",
            .caught_by = {"interval"}, .problem = "attnres_fwd g=1 N=9 Q=3 T=5 D=72");

struct DropsTies : Correct {
  ASSAY_DEVICE static float probability(float p, float l, float m_before) {
    return l == m_before ? 0 : p;
  }
};
ASSAY_WRONG(drops_ties, DropsTies, .bug = "a logit that equals the maximum so far counts as 0",
            .caught_by = {"interval"});

struct HidesNan : Correct {
  ASSAY_DEVICE static float exponential(float x) { return x == x ? natural_exp(x) : 0; }
  ASSAY_DEVICE static float rescale(float m_before, float m, int i, const Arguments&) {
    return i == 0 || m_before == minus_infinity() ? 0 : natural_exp(m_before - m);
  }
};
ASSAY_WRONG(hides_nan, HidesNan, .bug = "a source with a NaN is left out",
            .caught_by = {"interval"});

struct AttentionSink : Correct {
  ASSAY_DEVICE static float final_sum(float z, float m, const Arguments&) {
    return z + natural_exp(-m);
  }
};
ASSAY_WRONG(attention_sink, AttentionSink, .bug = "one more logit of 0 takes part in the softmax",
            .caught_by = {"interval"});

}  // namespace assay::ASSAY_TWIN::liars_attnres_fwd
