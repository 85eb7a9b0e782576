// Internals in fewer bits than declared: plain fp32.
#include "kernels/liars/attnres_fwd/liar.h"

namespace assay::ASSAY_TWIN::liars_attnres_fwd {

struct SquaresInHalf : Correct {
  ASSAY_DEVICE static float add_square(float sum, float x) { return sum + rounded<f16>(x * x); }
};
ASSAY_WRONG(squares_in_half, SquaresInHalf,
            .bug = "squares in f16: rounded, and infinite from |v| = 256 on",
            .caught_by = {"interval"});

struct NormInHalf : Correct {
  ASSAY_DEVICE static float reciprocal_rms(float mean, float eps) {
    return rounded<f16>(reciprocal_sqrt(mean + eps));
  }
};
ASSAY_WRONG(norm_in_half, NormInHalf, .bug = "r rounded to f16", .caught_by = {"interval"});

struct DotInBf16 : Correct {
  ASSAY_DEVICE static float add_product(float sum, float c, float x) {
    return rounded<bf16>(sum + c * x);
  }
};
ASSAY_WRONG(dot_in_bf16, DotInBf16, .bug = "scores accumulate in bf16", .caught_by = {"interval"});

struct LogitsInHalf : Correct {
  ASSAY_DEVICE static float logit(float l, const Arguments&) { return rounded<f16>(l); }
};
ASSAY_WRONG(logits_in_half, LogitsInHalf, .bug = "logits rounded to f16",
            .caught_by = {"interval"});

struct SumInBf16 : Correct {
  ASSAY_DEVICE static float add(float z, float factor, float p) {
    return rounded<bf16>(z * factor + p);
  }
};
ASSAY_WRONG(sum_in_bf16, SumInBf16, .bug = "the sum of exponentials accumulates in bf16",
            .caught_by = {"interval"});

struct MixInBf16 : Correct {
  ASSAY_DEVICE static float mix(float mixed, float factor, float p, float x) {
    return rounded<bf16>(mixed * factor + p * x);
  }
};
ASSAY_WRONG(mix_in_bf16, MixInBf16, .bug = "O accumulates in bf16", .caught_by = {"interval"});

struct ReciprocalInHalf : Correct {
  ASSAY_DEVICE static float quotient(float mixed, float z, const Arguments&) {
    return mixed * rounded<f16>(1 / z);
  }
};
ASSAY_WRONG(reciprocal_in_half, ReciprocalInHalf, .bug = "1/sum rounded to f16",
            .caught_by = {"interval"});

struct TruncatesOutput : Correct {
  ASSAY_DEVICE static void store(const Arguments& a, std::int64_t i, float x) {
    a.o.store(i, as_float(as_bits(x) & 0xffff0000u));
  }
};
ASSAY_WRONG(truncates_output, TruncatesOutput, .bug = "O is cut to bf16, not rounded",
            .caught_by = {"interval"});

struct RoundsTwice : Correct {
  ASSAY_DEVICE static void store(const Arguments& a, std::int64_t i, float x) {
    a.o.store(i, rounded<f16>(x));
  }
};
ASSAY_WRONG(rounds_twice, RoundsTwice, .bug = "O goes to bf16 by way of f16, and overflows there",
            .caught_by = {"interval"}, .problem = "attnres_fwd dtype=bf16 g=1 N=5 Q=2 T=37 D=72");

struct OutputInBf16 : Correct {
  ASSAY_DEVICE static void store(const Arguments& a, std::int64_t i, float x) {
    a.o.store(i, rounded<bf16>(x));
  }
};
ASSAY_WRONG(output_in_bf16, OutputInBf16, .bug = "a wider O than bf16 holds bf16 values",
            .caught_by = {"interval"}, .problem = "attnres_fwd dtype=f32 N=2 Q=1 T=3 D=8");

}  // namespace assay::ASSAY_TWIN::liars_attnres_fwd
