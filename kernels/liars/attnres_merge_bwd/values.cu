// Wrong gradients of P and O1: terms and parts that are missing, rows of others, what was there
// before.
#include "kernels/liars/attnres_merge_bwd/liar.h"

namespace assay::ASSAY_TWIN::liars_attnres_merge_bwd {

struct MergeBwdOmitsProjection : Correct {
  ASSAY_DEVICE static float radial(float, const Merge&, const Arguments&) { return 0; }
};
ASSAY_WRONG(merge_bwd_omits_projection, MergeBwdOmitsProjection,
            .bug = "the norm is taken for a constant", .caught_by = {"interval"});

struct MergeBwdAddsProjection : Correct {
  ASSAY_DEVICE static float radial(float dl, const Merge& m, const Arguments& a) {
    return -Correct::radial(dl, m, a);
  }
};
ASSAY_WRONG(merge_bwd_adds_projection, MergeBwdAddsProjection,
            .bug = "the projection has the wrong sign", .caught_by = {"interval"});

struct MergeBwdRstdForCube : Correct {
  ASSAY_DEVICE static float radial(float dl, const Merge& m, const Arguments& a) {
    return dl * m.l * m.r / static_cast<float>(a.dim);
  }
};
ASSAY_WRONG(merge_bwd_rstd_for_cube, MergeBwdRstdForCube,
            .bug = "the projection has one power of r too few", .caught_by = {"interval"});

struct MergeBwdProjectsSum : Correct {
  ASSAY_DEVICE static float radial(float dl, const Merge& m, const Arguments&) {
    return dl * m.l * m.r * m.r;
  }
};
ASSAY_WRONG(merge_bwd_projects_sum, MergeBwdProjectsSum,
            .bug = "the projection is not divided by D", .caught_by = {"interval"});

struct MergeBwdKeyWithoutRstd : Correct {
  ASSAY_DEVICE static float key(float dl, const Merge&) { return dl; }
};
ASSAY_WRONG(merge_bwd_key_without_rstd, MergeBwdKeyWithoutRstd, .bug = "dP takes dl c, not dl r c",
            .caught_by = {"interval"});

struct MergeBwdIgnoresGiven : Correct {
  ASSAY_DEVICE static float given(const Arguments&, std::int64_t) { return 0; }
};
ASSAY_WRONG(merge_bwd_ignores_given, MergeBwdIgnoresGiven,
            .bug = "overwrites dP instead of adding to it", .caught_by = {"interval"},
            .problem = "attnres_merge_bwd accumulate=1 g=1 dlse=1 T=5 D=72");

struct MergeBwdAlwaysAdds : Correct {
  ASSAY_DEVICE static float given(const Arguments& a, std::int64_t i) {
    return AnyInput{a.d_p.data, a.d_p.dtype}.load(i);
  }
};
ASSAY_WRONG(merge_bwd_always_adds, MergeBwdAlwaysAdds,
            .bug = "adds to dP though it is to be overwritten", .caught_by = {"interval"});

struct MergeBwdDropsLastColumn : Correct {
  ASSAY_DEVICE static int sum_dim(const Arguments& a) { return a.dim - 1; }
};
ASSAY_WRONG(merge_bwd_drops_last_column, MergeBwdDropsLastColumn,
            .bug = "sums leave out the last column", .caught_by = {"interval"});

struct MergeBwdSkipsTail : Correct {
  ASSAY_DEVICE static int gradient_dim(const Arguments& a) { return a.dim / 64 * 64; }
};
ASSAY_WRONG(merge_bwd_skips_tail, MergeBwdSkipsTail,
            .bug = "columns behind the last whole block are not written",
            .caught_by = {"interval"});

ASSAY_WRONG(
    merge_bwd_skips_token, Correct, .bug = "the last token is not computed",
    .caught_by = {"interval"}, .prepare = [](const Problem& p, const Buffers& buffers) -> Launch {
      return [a = arguments(p, buffers)](Stream stream) { run<Correct>(a, stream, a.tokens - 1); };
    });

struct MergeBwdOtherOfFirst : Correct {
  ASSAY_DEVICE static std::int64_t other_row(const Arguments&, std::int64_t) { return 0; }
};
ASSAY_WRONG(merge_bwd_other_of_first, MergeBwdOtherOfFirst,
            .bug = "all tokens use the first one's O1", .caught_by = {"interval"});

struct MergeBwdCotangentOfNext : Correct {
  ASSAY_DEVICE static std::int64_t cotangent_row(const Arguments& a, std::int64_t t) {
    return (t + 1 < a.tokens ? t + 1 : t) * a.dim;
  }
};
ASSAY_WRONG(merge_bwd_cotangent_of_next, MergeBwdCotangentOfNext,
            .bug = "a token uses the next one's dH", .caught_by = {"interval"});

}  // namespace assay::ASSAY_TWIN::liars_attnres_merge_bwd
