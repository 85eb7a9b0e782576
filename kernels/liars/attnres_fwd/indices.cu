// Right arithmetic on the wrong elements, all of them inside the tensors.
#include "kernels/liars/attnres_fwd/liar.h"

namespace assay::ASSAY_TWIN::liars_attnres_fwd {

struct TokensOuter : Correct {
  ASSAY_DEVICE static std::int64_t row(const Arguments& a, int n, std::int64_t t) {
    return (t * a.sources + n) * a.dim;
  }
};
ASSAY_WRONG(tokens_outer, TokensOuter, .bug = "reads V as (T, N, D)", .caught_by = {"interval"},
            .problem = "attnres_fwd N=2 Q=1 T=3 D=8");

struct PaddedRows : Correct {
  ASSAY_DEVICE static std::int64_t row(const Arguments& a, int n, std::int64_t t) {
    const std::int64_t rows = a.sources * a.tokens, stride = (a.dim + 7) / 8 * 8;
    return min((n * a.tokens + t) * stride, (rows - 1) * a.dim);
  }
};
ASSAY_WRONG(padded_rows, PaddedRows, .bug = "rows of V are taken to begin at multiples of 8",
            .caught_by = {"interval"}, .problem = "attnres_fwd N=2 Q=1 T=3 D=33");

struct SixteenBitIndex : Correct {
  ASSAY_DEVICE static std::int64_t row(const Arguments& a, int n, std::int64_t t) {
    return static_cast<std::uint16_t>(Correct::row(a, n, t));
  }
};
ASSAY_WRONG(sixteen_bit_index, SixteenBitIndex, .bug = "offsets of V wrap around at 65536 elements",
            .caught_by = {"interval"}, .problem = "attnres_fwd N=8 Q=1 T=37 D=264");

struct NextTokenOfLastSource : Correct {
  ASSAY_DEVICE static std::int64_t row(const Arguments& a, int n, std::int64_t t) {
    return Correct::row(a, n, n == a.sources - 1 ? min(t + 1, a.tokens - 1) : t);
  }
};
ASSAY_WRONG(next_token_of_last_source, NextTokenOfLastSource,
            .bug = "the last source is read one token ahead", .caught_by = {"interval"},
            .problem = "attnres_fwd N=2 Q=1 T=2 D=8");

struct ScoresFirstToken : Correct {
  ASSAY_DEVICE static std::int64_t scored_row(const Arguments& a, int n, std::int64_t,
                                              std::int64_t) {
    return Correct::row(a, n, 0);
  }
};
ASSAY_WRONG(scores_first_token, ScoresFirstToken, .bug = "all tokens use the first one's weights",
            .caught_by = {"interval"}, .problem = "attnres_fwd N=2 Q=1 T=2 D=8");

struct ScoresPartner : Correct {
  ASSAY_DEVICE static std::int64_t scored_row(const Arguments& a, int n, std::int64_t t,
                                              std::int64_t) {
    return Correct::row(a, a.sources - 1 - n, t);
  }
};
ASSAY_WRONG(scores_partner, ScoresPartner,
            .bug = "each source is weighted by the score of its mirror image",
            .caught_by = {"interval"}, .problem = "attnres_fwd N=2 Q=1 T=5 D=72");

struct OutputTokensOuter : Correct {
  ASSAY_DEVICE static std::int64_t output(const Arguments& a, int q, std::int64_t t, int d) {
    return (t * a.queries + q) * a.dim + d;
  }
};
ASSAY_WRONG(output_tokens_outer, OutputTokensOuter, .bug = "writes O as (T, Q, D)",
            .caught_by = {"interval"}, .problem = "attnres_fwd N=2 Q=2 T=3 D=8");

struct SwapsNeighbours : Correct {
  ASSAY_DEVICE static std::int64_t output(const Arguments& a, int q, std::int64_t t, int d) {
    return Correct::output(a, q, t, (d ^ 1) < a.dim ? d ^ 1 : d);
  }
};
ASSAY_WRONG(swaps_neighbours, SwapsNeighbours,
            .bug = "elements of a pair, packed in the other order", .caught_by = {"interval"},
            .problem = "attnres_fwd N=1 Q=1 T=1 D=8");

struct CountsLastElementTwice : Correct {
  ASSAY_DEVICE static float value(const Arguments& a, float x, float, int, int d) {
    return d == a.dim - 1 ? 2 * x : x;
  }
};
ASSAY_WRONG(counts_last_element_twice, CountsLastElementTwice,
            .bug = "overlapping last vector: its last element is mixed twice",
            .caught_by = {"interval"}, .problem = "attnres_fwd N=1 Q=1 T=1 D=33");

// Right for tensors that begin at a multiple of 16 bytes.
struct RoundsBaseDown : Correct {
  ASSAY_DEVICE static float load(const Arguments& a, std::int64_t i) {
    const AnyInput down{reinterpret_cast<const void*>(reinterpret_cast<std::uintptr_t>(a.v.data) &
                                                      ~std::uintptr_t{15}),
                        a.v.dtype};
    return down.load(i);
  }
};
ASSAY_WRONG(rounds_base_down, RoundsBaseDown,
            .bug = "V's address is rounded down to 16 bytes; only a misaligned V shows it",
            .caught_by = caught_on({.cuda = {"interval"},
                                    .plain = {"interval"},
                                    .race = {"out_of_bounds"},
                                    .address = {"out_of_bounds"}}));

}  // namespace assay::ASSAY_TWIN::liars_attnres_fwd
