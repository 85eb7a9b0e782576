// Wrong gradients of V: parts that are missing, rows of others, what was there before.
#include "kernels/liars/attnres_bwd/liar.h"

namespace assay::ASSAY_TWIN::liars_attnres_bwd {

struct BwdFirstQueryOnly : Correct {
  ASSAY_DEVICE static int v_queries(const Arguments&) { return 1; }
};
ASSAY_WRONG(bwd_first_query_only, BwdFirstQueryOnly, .bug = "dV is that of the first query",
            .caught_by = {"interval"});

struct BwdCotangentOfFirstQuery : Correct {
  ASSAY_DEVICE static std::int64_t cotangent_row(const Arguments& a, int, std::int64_t t) {
    return t * a.dim;
  }
};
ASSAY_WRONG(bwd_cotangent_of_first_query, BwdCotangentOfFirstQuery,
            .bug = "all queries use the first one's dO", .caught_by = {"interval"});

struct BwdTransposesCotangent : Correct {
  ASSAY_DEVICE static std::int64_t cotangent_row(const Arguments& a, int q, std::int64_t t) {
    return (t * a.queries + q) * a.dim;
  }
};
ASSAY_WRONG(bwd_transposes_cotangent, BwdTransposesCotangent, .bug = "dO is read as (T, Q, D)",
            .caught_by = {"interval"});

struct BwdIgnoresGiven : Correct {
  ASSAY_DEVICE static float given(const Arguments&, std::int64_t) { return 0; }
};
ASSAY_WRONG(bwd_ignores_given, BwdIgnoresGiven, .bug = "overwrites dV instead of adding to it",
            .caught_by = {"interval"},
            .problem = "attnres_bwd accumulate=1 g=1 dlse=1 N=5 Q=2 T=5 D=72");

struct BwdAlwaysAdds : Correct {
  ASSAY_DEVICE static float given(const Arguments& a, std::int64_t i) {
    return AnyInput{a.d_v.data, a.d_v.dtype}.load(i);
  }
};
ASSAY_WRONG(bwd_always_adds, BwdAlwaysAdds, .bug = "adds to dV though it is to be overwritten",
            .caught_by = {"interval"});

struct BwdDropsLastColumn : Correct {
  ASSAY_DEVICE static int sum_dim(const Arguments& a) { return a.dim - 1; }
};
ASSAY_WRONG(bwd_drops_last_column, BwdDropsLastColumn, .bug = "sums leave out the last column",
            .caught_by = {"interval"});

struct BwdSkipsTail : Correct {
  ASSAY_DEVICE static int gradient_dim(const Arguments& a) { return a.dim / 64 * 64; }
};
ASSAY_WRONG(bwd_skips_tail, BwdSkipsTail,
            .bug = "columns behind the last whole block are not written",
            .caught_by = {"interval"});

ASSAY_WRONG(
    bwd_drops_token, Correct, .bug = "the last token is not computed", .caught_by = {"interval"},
    .prepare = [](const Problem& p, const Buffers& buffers) -> Launch {
      return [a = arguments(p, buffers)](Stream stream) { run<Correct>(a, stream, a.tokens - 1); };
    });

struct BwdKeepsSmallOnly : Correct {
  ASSAY_DEVICE static void store(const Arguments& a, std::int64_t i, float x) {
    a.d_v.store(i, x > 1 ? 1 : x < -1 ? -1 : x);
  }
};
ASSAY_WRONG(bwd_clips, BwdKeepsSmallOnly, .bug = "gradients are clipped to 1",
            .caught_by = {"interval"});

}  // namespace assay::ASSAY_TWIN::liars_attnres_bwd
