// Wrong LSE = log Σ_n exp l, natural logarithm, fp32, (Q, T).
#include "kernels/liars/attnres_fwd/liar.h"

namespace assay::ASSAY_TWIN::liars_attnres_fwd {

struct LseBaseTwo : Correct {
  ASSAY_DEVICE static float lse(float m, float z, const Arguments&) {
    return (m + log_accurate(z)) * kLog2E;
  }
};
ASSAY_WRONG(lse_base_two, LseBaseTwo, .bug = "LSE to the base 2", .caught_by = {"interval"});

struct LseMixedBases : Correct {
  ASSAY_DEVICE static float lse(float m, float z, const Arguments&) {
    return m + log_accurate(z) * kLog2E;
  }
};
ASSAY_WRONG(lse_mixed_bases, LseMixedBases, .bug = "natural maximum plus binary logarithm",
            .caught_by = {"interval"});

struct LseOmitsMaximum : Correct {
  ASSAY_DEVICE static float lse(float, float z, const Arguments&) { return log_accurate(z); }
};
ASSAY_WRONG(lse_omits_maximum, LseOmitsMaximum, .bug = "the maximum is not added to LSE",
            .caught_by = {"interval"});

struct LseIsMaximum : Correct {
  ASSAY_DEVICE static float lse(float m, float, const Arguments&) { return m; }
};
ASSAY_WRONG(lse_is_maximum, LseIsMaximum, .bug = "LSE is the maximum alone",
            .caught_by = {"interval"}, .problem = "attnres_fwd g=1 N=2 Q=1 T=5 D=72");

struct LseOfMean : Correct {
  ASSAY_DEVICE static float lse(float m, float z, const Arguments& a) {
    return m + log_accurate(z / static_cast<float>(a.sources));
  }
};
ASSAY_WRONG(lse_of_mean, LseOfMean, .bug = "log of the mean of exponentials",
            .caught_by = {"interval"}, .problem = "attnres_fwd N=2 Q=1 T=3 D=8");

struct LseInBf16 : Correct {
  ASSAY_DEVICE static float lse(float m, float z, const Arguments&) {
    return rounded<bf16>(m + log_accurate(z));
  }
};
ASSAY_WRONG(lse_in_bf16, LseInBf16, .bug = "LSE rounded to bf16 on its way",
            .caught_by = {"interval"});

struct LseTransposed : Correct {
  ASSAY_DEVICE static std::int64_t lse_place(const Arguments& a, int q, std::int64_t t) {
    return t * a.queries + q;
  }
};
ASSAY_WRONG(lse_transposed, LseTransposed, .bug = "LSE written as (T, Q)",
            .caught_by = {"interval"}, .problem = "attnres_fwd N=2 Q=2 T=3 D=8");

struct LseNotWritten : Correct {
  ASSAY_DEVICE static void store_lse(const Arguments&, std::int64_t, float) {}
};
ASSAY_WRONG(lse_not_written, LseNotWritten, .bug = "LSE is not written", .caught_by = {"interval"},
            .problem = "attnres_fwd N=1 Q=1 T=1 D=8");

struct LseNegative : Correct {
  ASSAY_DEVICE static float lse(float m, float z, const Arguments&) { return -m - log_accurate(z); }
};
ASSAY_WRONG(lse_negative, LseNegative, .bug = "LSE with the other sign", .caught_by = {"interval"});

}  // namespace assay::ASSAY_TWIN::liars_attnres_fwd
