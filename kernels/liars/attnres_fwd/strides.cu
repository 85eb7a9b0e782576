// Kernels that know where rows begin, and are wrong about some: only rows that lie apart show it.
#include "kernels/liars/attnres_fwd/liar.h"

namespace assay::ASSAY_TWIN::liars_attnres_fwd {

struct PackedValues : Correct {
  ASSAY_DEVICE static std::int64_t row(const Arguments& a, int n, std::int64_t t) {
    return (n * a.tokens + t) * a.dim;
  }
};
ASSAY_WRONG(packed_values, PackedValues, .bug = "takes the rows of V for contiguous",
            .caught_by = {"interval"}, .strided = true);

struct PackedTokens : Correct {
  ASSAY_DEVICE static std::int64_t row(const Arguments& a, int n, std::int64_t t) {
    return n * a.tokens * a.dim + t * a.v_pitch;
  }
};
ASSAY_WRONG(packed_tokens, PackedTokens, .bug = "steps from source to source by T D, not T pitches",
            .caught_by = {"interval"}, .strided = true);

struct PackedWeights : Correct {
  ASSAY_DEVICE static float weight(const Arguments& a, int q, int d) {
    const std::int64_t i = static_cast<std::int64_t>(q) * a.dim + d;
    return a.w.load(i) * (a.g.present() ? a.g.load(i) : 1.0f);
  }
};
ASSAY_WRONG(packed_weights, PackedWeights, .bug = "takes the rows of w and g for contiguous",
            .caught_by = {"interval"}, .strided = true);

struct PackedOutput : Correct {
  ASSAY_DEVICE static std::int64_t output(const Arguments& a, int q, std::int64_t t, int d) {
    return (q * a.tokens + t) * a.dim + d;
  }
};
ASSAY_WRONG(packed_output, PackedOutput, .bug = "writes the rows of O one after the other",
            .caught_by = {"guards"}, .strided = true);

struct PitchOfValues : Correct {
  ASSAY_DEVICE static std::int64_t output(const Arguments& a, int q, std::int64_t t, int d) {
    return (q * a.tokens + t) * a.v_pitch + d;
  }
};
ASSAY_WRONG(pitch_of_values, PitchOfValues, .bug = "uses V's pitch for O, of another dtype",
            .caught_by = {"guards"}, .problem = "attnres_fwd dtype=bf16 o=f32 N=5 Q=2 T=5 D=72",
            .strided = true);

struct PackedLse : Correct {
  ASSAY_DEVICE static std::int64_t lse_place(const Arguments& a, int q, std::int64_t t) {
    return q * a.tokens + t;
  }
};
ASSAY_WRONG(packed_lse, PackedLse, .bug = "writes the rows of LSE one after the other",
            .caught_by = {"guards"}, .strided = true);

// Whole vectors are stored beyond D, where nothing lies between rows that are padded.
struct FillsGap : Correct {
  ASSAY_DEVICE static void end(const Arguments& a, std::int64_t t) {
    if (a.o_pitch == a.dim || thread_index() != 0) return;
    for (int q = 0; q < a.queries; ++q) a.o.store((q * a.tokens + t) * a.o_pitch + a.dim, 0);
  }
};
ASSAY_WRONG(fills_gap, FillsGap, .bug = "writes zeros behind the rows of O",
            .caught_by = {"guards"}, .strided = true);

}  // namespace assay::ASSAY_TWIN::liars_attnres_fwd
