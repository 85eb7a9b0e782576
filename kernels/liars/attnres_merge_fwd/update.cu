// Wrong updates: P ← P + U, rounded to P's dtype, written back, and used.
#include "kernels/liars/attnres_merge_fwd/liar.h"

namespace assay::ASSAY_TWIN::liars_attnres_merge_fwd {

struct MergeOmitsWriteBack : Correct {
  ASSAY_DEVICE static void write_back(const Arguments&, std::int64_t, float) {}
  ASSAY_DEVICE static float mixed(const Arguments& a, std::int64_t i) {
    return a.u.present() ? update(a, a.p.load(i), a.u.load(i)) : a.p.load(i);
  }
};
ASSAY_WRONG(merge_omits_write_back, MergeOmitsWriteBack, .bug = "the updated P is not written back",
            .caught_by = {"exact"});

struct MergeOmitsUpdate : Correct {
  ASSAY_DEVICE static float update(const Arguments&, float p, float) { return p; }
};
ASSAY_WRONG(merge_omits_update, MergeOmitsUpdate, .bug = "U is not added",
            .caught_by = {"exact", "interval"});

struct MergeNormBeforeUpdate : Correct {
  ASSAY_DEVICE static float summed(const Arguments&, std::int64_t, float, float before) {
    return before;
  }
};
ASSAY_WRONG(merge_scores_before_update, MergeNormBeforeUpdate,
            .bug = "the logit is that of P without U", .caught_by = {"interval"});

struct MergeMixesBefore : Correct {
  ASSAY_DEVICE static void write_back(const Arguments& a, std::int64_t i, float x) {
    a.h.store(i, a.p.load(i));
    Correct::write_back(a, i, x);
  }
  // H holds P without U until it is overwritten.
  ASSAY_DEVICE static float mixed(const Arguments& a, std::int64_t i) {
    return a.u.present() ? AnyInput{a.h.data, a.h.dtype}.load(i) : a.p.load(i);
  }
};
ASSAY_WRONG(merge_mixes_before_update, MergeMixesBefore, .bug = "H is mixed from P without U",
            .caught_by = {"interval"});

// The sum goes into everything as it is; only what is stored is rounded.
struct MergeUsesUnrounded : Correct {
  ASSAY_DEVICE static float update(const Arguments&, float p, float u) { return p + u; }
  ASSAY_DEVICE static void write_back(const Arguments& a, std::int64_t i, float x) {
    Correct::write_back(a, i, x);
    a.scratch[i] = x;
  }
  ASSAY_DEVICE static float mixed(const Arguments& a, std::int64_t i) {
    return a.u.present() ? a.scratch[i] : a.p.load(i);
  }
};
ASSAY_WRONG(
    merge_uses_unrounded, MergeUsesUnrounded, .bug = "logit and H from P + U before it is rounded",
    .caught_by = {"interval"}, .problem = "attnres_merge_fwd dtype=bf16 g=1 u=1 h=f32 T=5 D=72",
    .workspace = [](const Problem& p) { return Workspace{4 * p.dim("T") * p.dim("D")}; });

// These two for a P of bf16.
struct MergeTruncatesUpdate : Correct {
  ASSAY_DEVICE static float update(const Arguments&, float p, float u) {
    return as_float(as_bits(p + u) & 0xffff0000u);
  }
};
ASSAY_WRONG(merge_truncates_update, MergeTruncatesUpdate, .bug = "P + U is cut to bf16",
            .caught_by = {"exact"}, .problem = "attnres_merge_fwd dtype=bf16 u=1 T=5 D=72");

struct MergeTiesAway : Correct {
  ASSAY_DEVICE static float update(const Arguments&, float p, float u) {
    const float sum = p + u;
    return sum == sum ? as_float((as_bits(sum) + 0x8000u) & 0xffff0000u) : sum;
  }
};
ASSAY_WRONG(merge_ties_away, MergeTiesAway, .bug = "P + U is rounded to bf16 with ties away from 0",
            .caught_by = {"exact"}, .problem = "attnres_merge_fwd dtype=bf16 u=1 T=5 D=72");

// P once more, from the second launch on.
ASSAY_KERNEL(kThreads) void add_again(Arguments a) {
  const std::int64_t row = static_cast<std::int64_t>(block_index()) * a.dim;
  for (int d = thread_index(); d < a.dim; d += kThreads)
    a.updated.store(row + d, a.p.load(row + d) + a.u.load(row + d));
}
ASSAY_WRONG(
    merge_updates_twice, Correct, .bug = "from the second launch on, U is added twice",
    .caught_by = {"repeat"}, .prepare = [](const Problem& p, const Buffers& buffers) -> Launch {
      return [a = arguments(p, buffers), calls = std::make_shared<int>(0)](Stream stream) {
        if ((*calls)++ > 0 && a.u.data != nullptr)
          launch(add_again, {.blocks = a.tokens, .threads = kThreads, .stream = stream}, a);
        run<Correct>(a, stream, a.tokens);
      };
    });

struct MergeUpdatesU : Correct {
  ASSAY_DEVICE static void write_back(const Arguments& a, std::int64_t i, float x) {
    Correct::write_back(a, i, x);
    AnyOutput{const_cast<void*>(a.u.data), a.u.dtype}.store(i, x);
  }
};
ASSAY_WRONG(merge_updates_u, MergeUpdatesU, .bug = "the sum is written to U as well",
            .caught_by = caught_on({.cuda = {"inputs"},
                                    .plain = {"inputs"},
                                    .race = {"write_to_input"},
                                    .address = {"inputs"}}));

}  // namespace assay::ASSAY_TWIN::liars_attnres_merge_fwd
