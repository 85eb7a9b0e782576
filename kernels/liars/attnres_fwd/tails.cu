// What is left over when N, Q, T or D is no multiple of a tile, dropped or counted twice.
#include "kernels/liars/attnres_fwd/liar.h"

namespace assay::ASSAY_TWIN::liars_attnres_fwd {

struct DropsLastSource : Correct {
  ASSAY_DEVICE static int sources(const Arguments& a) { return max(a.sources - 1, 1); }
};
ASSAY_WRONG(drops_last_source, DropsLastSource, .bug = "the last source is left out",
            .caught_by = {"interval"}, .problem = "attnres_fwd N=2 Q=1 T=5 D=72");

struct DropsOddSource : Correct {
  ASSAY_DEVICE static int sources(const Arguments& a) { return max(a.sources / 2 * 2, 1); }
};
ASSAY_WRONG(drops_odd_source, DropsOddSource, .bug = "sources in pairs; an odd one is left out",
            .caught_by = {"interval"}, .problem = "attnres_fwd N=3 Q=1 T=5 D=72");

struct DropsSourcesFrom8 : Correct {
  ASSAY_DEVICE static int sources(const Arguments& a) { return min(a.sources, 8); }
};
ASSAY_WRONG(drops_sources_from_8, DropsSourcesFrom8, .bug = "only the first 8 sources take part",
            .caught_by = {"interval"}, .problem = "attnres_fwd N=9 Q=1 T=5 D=72");

struct DropsSourcesFrom32 : Correct {
  ASSAY_DEVICE static int sources(const Arguments& a) { return min(a.sources, 32); }
};
ASSAY_WRONG(drops_sources_from_32, DropsSourcesFrom32,
            .bug = "one source a lane: only the first 32 take part", .caught_by = {"interval"},
            .problem = "attnres_fwd N=33 Q=1 T=5 D=72");

struct RepeatsLastSource : Correct {
  ASSAY_DEVICE static int sources(const Arguments& a) {
    int padded = 1;
    while (padded < a.sources) padded *= 2;
    return padded;
  }
  ASSAY_DEVICE static int source(const Arguments& a, int i, int) { return min(i, a.sources - 1); }
};
ASSAY_WRONG(repeats_last_source, RepeatsLastSource,
            .bug = "N is padded to a power of two with copies of the last source",
            .caught_by = {"interval"}, .problem = "attnres_fwd N=3 Q=1 T=5 D=72");

struct PadsWithZeroLogits : Correct {
  ASSAY_DEVICE static float final_sum(float z, float m, const Arguments& a) {
    return z + static_cast<float>((8 - a.sources % 8) % 8) * natural_exp(-m);
  }
};
ASSAY_WRONG(pads_with_zero_logits, PadsWithZeroLogits,
            .bug = "N is padded to a multiple of 8 with logits of 0, not of -inf",
            .caught_by = {"interval"});

struct DropsLastElement : Correct {
  ASSAY_DEVICE static int sum_dim(const Arguments& a) { return a.dim - 1; }
};
ASSAY_WRONG(drops_last_element, DropsLastElement, .bug = "sums over D - 1 elements",
            .caught_by = {"interval"});

struct DropsPartialVector : Correct {
  ASSAY_DEVICE static int sum_dim(const Arguments& a) { return a.dim / 8 * 8; }
};
ASSAY_WRONG(drops_partial_vector, DropsPartialVector, .bug = "sums over whole vectors of 8 only",
            .caught_by = {"interval"}, .problem = "attnres_fwd N=5 Q=2 T=5 D=33");

struct OneElementAThread : Correct {
  ASSAY_DEVICE static int sum_dim(const Arguments& a) { return min(a.dim, kThreads); }
};
ASSAY_WRONG(one_element_a_thread, OneElementAThread, .bug = "sums over the first 64 elements only",
            .caught_by = {"interval"});

struct MixMissesPartialVector : Correct {
  ASSAY_DEVICE static int mix_dim(const Arguments& a) { return a.dim / 8 * 8; }
};
ASSAY_WRONG(mix_misses_partial_vector, MixMissesPartialVector,
            .bug = "O is written in whole vectors of 8 only", .caught_by = {"interval"},
            .problem = "attnres_fwd N=1 Q=1 T=1 D=33");

struct DropsLastToken : Correct {
  ASSAY_DEVICE static bool skips(const Arguments& a, std::int64_t t) {
    return t > 0 && t == a.tokens - 1;
  }
};
ASSAY_WRONG(drops_last_token, DropsLastToken, .bug = "the last token is not computed",
            .caught_by = {"interval"}, .problem = "attnres_fwd N=2 Q=1 T=2 D=8");

struct DropsPartialTile : Correct {
  ASSAY_DEVICE static bool skips(const Arguments& a, std::int64_t t) {
    return t >= 32 && t >= a.tokens / 32 * 32;
  }
};
ASSAY_WRONG(drops_partial_tile, DropsPartialTile,
            .bug = "tokens in tiles of 32; those of a partial last tile are not computed",
            .caught_by = {"interval"}, .problem = "attnres_fwd N=2 Q=1 T=37 D=8");

struct DropsLastQuery : Correct {
  ASSAY_DEVICE static int queries(const Arguments& a) { return max(a.queries - 1, 1); }
};
ASSAY_WRONG(drops_last_query, DropsLastQuery, .bug = "the last query is not computed",
            .caught_by = {"interval"}, .problem = "attnres_fwd N=2 Q=2 T=3 D=8");

struct SkipsZeros : Correct {
  ASSAY_DEVICE static void store(const Arguments& a, std::int64_t i, float x) {
    if (x != 0) a.o.store(i, x);
  }
};
ASSAY_WRONG(skips_zeros, SkipsZeros, .bug = "elements of O that are 0 are not written",
            .caught_by = {"interval"});

}  // namespace assay::ASSAY_TWIN::liars_attnres_fwd
