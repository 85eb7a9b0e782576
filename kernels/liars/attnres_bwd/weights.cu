// Wrong gradients of w and g.
#include "kernels/liars/attnres_bwd/liar.h"

namespace assay::ASSAY_TWIN::liars_attnres_bwd {

struct BwdSquaresG : Correct {
  ASSAY_DEVICE static float d_w(const Arguments& a, std::int64_t i, float x) {
    return Correct::d_w(a, i, Correct::d_w(a, i, x));
  }
};
ASSAY_WRONG(bwd_squares_g, BwdSquaresG, .bug = "dw = g² X", .caught_by = {"interval"});

struct BwdDwWithoutG : Correct {
  ASSAY_DEVICE static float d_w(const Arguments&, std::int64_t, float x) { return x; }
};
ASSAY_WRONG(bwd_dw_without_g, BwdDwWithoutG, .bug = "dw is not multiplied by g",
            .caught_by = {"interval"});

struct BwdDgWithoutW : Correct {
  ASSAY_DEVICE static float d_g(const Arguments&, std::int64_t, float x) { return x; }
};
ASSAY_WRONG(bwd_dg_without_w, BwdDgWithoutW, .bug = "dg is not multiplied by w",
            .caught_by = {"interval"});

struct BwdSwapsWeights : Correct {
  ASSAY_DEVICE static float d_w(const Arguments& a, std::int64_t i, float x) {
    return a.g.present() ? Correct::d_g(a, i, x) : x;
  }
  ASSAY_DEVICE static float d_g(const Arguments& a, std::int64_t i, float x) {
    return Correct::d_w(a, i, x);
  }
};
ASSAY_WRONG(bwd_swaps_weights, BwdSwapsWeights, .bug = "dw and dg are exchanged",
            .caught_by = {"interval"});

struct BwdXWithoutRstd : Correct {
  ASSAY_DEVICE static float x_key(float ds, const Score&) { return ds; }
};
ASSAY_WRONG(bwd_x_without_rstd, BwdXWithoutRstd, .bug = "X sums ds V, not ds r V",
            .caught_by = {"interval"});

struct BwdDropsLastToken : Correct {
  ASSAY_DEVICE static std::int64_t x_tokens(const Arguments& a) {
    return a.tokens > 1 ? a.tokens - 1 : a.tokens;
  }
};
ASSAY_WRONG(bwd_drops_last_token, BwdDropsLastToken, .bug = "the last token is missing from dw, dg",
            .caught_by = {"interval"});
// Beside so many others that only cotangents of a few tokens show it.
ASSAY_WRONG(bwd_drops_one_of_many, BwdDropsLastToken,
            .bug = "one of 700 tokens is missing from dw, dg", .caught_by = {"interval"},
            .problem = "attnres_bwd N=2 Q=1 T=700 D=24");

struct BwdDropsLastSource : Correct {
  ASSAY_DEVICE static int x_sources(const Arguments& a) { return a.sources - 1; }
};
ASSAY_WRONG(bwd_drops_last_source, BwdDropsLastSource,
            .bug = "the last source is missing from dw, dg", .caught_by = {"interval"});

struct BwdScalesX : Correct {
  ASSAY_DEVICE static float x_key(float ds, const Score& s) { return 1.002f * ds * s.r; }
};
ASSAY_WRONG(bwd_scales_x, BwdScalesX, .bug = "dw and dg are 0.2 % too large",
            .caught_by = {"interval"});

struct BwdXOfFirstQuery : Correct {
  ASSAY_DEVICE static float d_w(const Arguments& a, std::int64_t i, float x) {
    const std::int64_t first = i % a.dim;
    float sum = 0;
    for (std::int64_t t = 0; t < a.tokens; ++t) sum += a.x[t * a.queries * a.dim + first];
    return Correct::d_w(a, i, i < a.dim ? x : sum);
  }
};
ASSAY_WRONG(bwd_x_of_first_query, BwdXOfFirstQuery, .bug = "every query gets the first one's X",
            .caught_by = {"interval"});

}  // namespace assay::ASSAY_TWIN::liars_attnres_bwd
