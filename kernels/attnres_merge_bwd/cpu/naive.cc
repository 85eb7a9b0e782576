// attnres_merge_bwd/naive: one token after the other, a pass over its rows for each step, in fp32,
// as the formulas are written. X is summed by a fixed number of parts of the tokens, which are
// added up in order: the same bits however many threads there are. The simplest that is right: what
// others are compared with.
#include <algorithm>
#include <cmath>
#include <utility>

#include "harness/core/parallel.h"
#include "kernels/attnres_merge_bwd/cpu/arguments.h"
#include "kernels/device/cpu_plain.h"

namespace assay::cpu::attnres_merge_bwd_naive {
namespace {

using namespace attnres_merge_bwd;
using namespace plain;

constexpr std::int64_t kParts = 32;  // of the tokens

// fp32 memory of one part, rows (D). c comes before that of the first.
struct Scratch {
  float *x, *p, *d_h, *other, *out;

  static constexpr std::int64_t kRows = 5;
  Scratch(const Arguments& a, std::int64_t part) {
    float* next = a.scratch + (1 + part * kRows) * a.dim;
    for (float** row : {&x, &p, &d_h, &other, &out}) *row = std::exchange(next, next + a.dim);
  }
};

void token(const Arguments& a, const Scratch& s, std::int64_t t) {
  const float* const c = a.scratch;
  const std::int64_t first = t * a.dim;
  load_row(a.p, first, a.dim, s.p);
  load_row(a.d_h, first, a.dim, s.d_h);
  load_row(a.o1, first, a.dim, s.other);
  float l1 = 0, d_lse = 0;
  load_row(a.l1, t, 1, &l1);
  if (a.d_lse.data) load_row(a.d_lse, t, 1, &d_lse);

  const float mean = dot(s.p, s.p, a.dim) / static_cast<float>(a.dim);
  const float r = 1 / std::sqrt(mean + static_cast<float>(a.eps)), l = r * dot(c, s.p, a.dim);
  for (std::int64_t d = 0; d < a.dim; ++d) s.other[d] = s.p[d] - s.other[d];
  const Coefficients of = merge_backward(r, l, l1, dot(s.d_h, s.other, a.dim), d_lse, a.dim);

  std::fill_n(s.out, a.dim, 0.0f);
  add_row(s.out, of.beta, s.d_h, a.dim);
  add_row(s.out, of.key, c, a.dim);
  add_row(s.out, -of.radial, s.p, a.dim);
  if (a.accumulate) {
    load_row(a.d_p, first, a.dim, s.other);
    add_row(s.out, 1, s.other, a.dim);
  }
  store_row(a.d_p, first, a.dim, s.out);
  std::fill_n(s.out, a.dim, 0.0f);
  add_row(s.out, of.rest, s.d_h, a.dim);
  store_row(a.d_o1, first, a.dim, s.out);
  store_row(a.d_l1, t, 1, &of.d_l1);
  add_row(s.x, of.key, s.p, a.dim);
}

void launch(const Arguments& a) {
  const Scratch sum(a, 0);
  // c = w⊙g.
  load_row(a.w, 0, a.dim, a.scratch);
  if (a.g.data) {
    load_row(a.g, 0, a.dim, sum.x);
    for (std::int64_t d = 0; d < a.dim; ++d) a.scratch[d] *= sum.x[d];
  }
  const std::int64_t parts = std::min(kParts, a.tokens);
  parallel_for(parts, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t part = begin; part < end; ++part) {
      const Scratch s(a, part);
      std::fill_n(s.x, a.dim, 0.0f);
      for (std::int64_t t = a.tokens * part / parts; t < a.tokens * (part + 1) / parts; ++t)
        token(a, s, t);
    }
  });
  for (std::int64_t part = 1; part < parts; ++part) add_row(sum.x, 1, Scratch(a, part).x, a.dim);
  // dw = g⊙X, dg = w⊙X, through the memory of c.
  store_product(a.g, a.d_w, sum.x, a.dim, a.scratch);
  if (a.d_g.data) store_product(a.w, a.d_g, sum.x, a.dim, a.scratch);
}

ASSAY_VARIANT(naive){
    .op = "attnres_merge_bwd",
    .name = "naive",
    .summary = "the formulas token by token, a pass over its rows a step",
    .numerics =
        [](const Problem& p) {
          return Numerics{
              .summation_height = height(p.dim("D"), kLanes),
              .batch_height =
                  height((p.dim("T") + kParts - 1) / kParts + std::min(kParts, p.dim("T")), 1)};
        },
    .workspace =
        [](const Problem& p) {
          const std::int64_t parts = std::min(kParts, p.dim("T"));
          return Workspace{4 * (1 + parts * Scratch::kRows) * p.dim("D")};
        },
    .prepare = [](const Problem& p, const Buffers& b) -> Launch {
      return [a = Arguments(p, b)](Stream) { launch(a); };
    },
};

}  // namespace
}  // namespace assay::cpu::attnres_merge_bwd_naive
