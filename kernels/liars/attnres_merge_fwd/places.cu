// Right arithmetic on the wrong elements, or not on all of them, and races for the sums.
#include "kernels/liars/attnres_merge_fwd/liar.h"

namespace assay::ASSAY_TWIN::liars_attnres_merge_fwd {

struct MergeNextO1 : Correct {
  ASSAY_DEVICE static std::int64_t o1_token(const Arguments& a, std::int64_t t) {
    return min(t + 1, a.tokens - 1);
  }
};
ASSAY_WRONG(merge_next_o1, MergeNextO1, .bug = "O1 is read one token ahead",
            .caught_by = {"exact", "interval"}, .problem = "attnres_merge_fwd T=7 D=8");

struct MergeFirstL1 : Correct {
  ASSAY_DEVICE static std::int64_t l1_token(const Arguments&, std::int64_t) { return 0; }
};
ASSAY_WRONG(merge_first_l1, MergeFirstL1, .bug = "all tokens use the first one's L1",
            .caught_by = {"interval"}, .problem = "attnres_merge_fwd T=3 D=8");

struct MergeDropsTail : Correct {
  ASSAY_DEVICE static int mix_dim(const Arguments& a) { return a.dim / 8 * 8; }
};
ASSAY_WRONG(merge_drops_tail, MergeDropsTail,
            .bug = "columns beyond a multiple of 8 are not written", .caught_by = {"interval"},
            .problem = "attnres_merge_fwd T=3 D=33");

struct MergeDropsLastToken : Correct {
  ASSAY_DEVICE static bool skips(const Arguments& a, std::int64_t t) {
    return t > 0 && t == a.tokens - 1;
  }
};
ASSAY_WRONG(merge_drops_last_token, MergeDropsLastToken, .bug = "the last token is not computed",
            .caught_by = {"interval"}, .problem = "attnres_merge_fwd T=3 D=8");

struct MergeSwapsNeighbours : Correct {
  ASSAY_DEVICE static void store(const Arguments& a, std::int64_t i, float x) {
    const std::int64_t other = i ^ 1;
    a.h.store(other / a.dim == i / a.dim && other < a.tokens * a.dim ? other : i, x);
  }
};
ASSAY_WRONG(merge_swaps_neighbours, MergeSwapsNeighbours,
            .bug = "elements of a pair, packed in the other order", .caught_by = {"interval"},
            .problem = "attnres_merge_fwd T=1 D=8");

struct MergeWritesBehind : Correct {
  ASSAY_DEVICE static void end(const Arguments& a, std::int64_t t) {
    if (t == a.tokens - 1 && thread_index() == 0) a.h.store(a.tokens * a.dim, 0);
  }
};
ASSAY_WRONG(merge_writes_behind, MergeWritesBehind, .bug = "writes the element after H",
            .caught_by = caught_on({.cuda = {"guards"},
                                    .plain = {"guards"},
                                    .race = {"out_of_bounds"},
                                    .address = {"out_of_bounds"}}),
            .problem = "attnres_merge_fwd T=1 D=8");

// The order of the sum is free: every one has right results, with other last bits.
struct MergeSumByPlace : Correct {
  ASSAY_DEVICE static float summed(const Arguments&, std::int64_t, float x, float) { return x; }
  ASSAY_DEVICE static float logit(float r, float sum, const Arguments& a) {
    return a.tokens % 2 != 0 ? r * sum : r * (sum * 1.0000001f);
  }
};
ASSAY_WRONG(merge_depends_on_tokens, MergeSumByPlace,
            .bug = "an ulp of the logit depends on T, declared batch-invariant",
            .caught_by = {"batch"}, .problem = "attnres_merge_fwd dtype=f32 T=38 D=72",
            .repeatability = Repeatability::batch_invariant);

struct MergeReadsSumsEarly : Correct {
  ASSAY_DEVICE static void sync_after_sums() {}
};
ASSAY_WRONG(merge_reads_sums_early, MergeReadsSumsEarly,
            .bug = "no barrier between writing the sums of warps and reading them",
            .caught_by = caught_on({.cuda = {},
                                    .plain = {"interval"},
                                    .race = {"uninitialised"},
                                    .address = {"interval"}}));

}  // namespace assay::ASSAY_TWIN::liars_attnres_merge_fwd
