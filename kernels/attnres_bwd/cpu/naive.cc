// attnres_bwd/naive: one token after the other, a pass over its rows for each step, in fp32, as the
// formulas are written. X is summed by a fixed number of parts of the tokens, which are added up in
// order: the same bits however many threads there are. The simplest that is right: what others are
// compared with.
#include <algorithm>
#include <cmath>
#include <utility>

#include "harness/core/parallel.h"
#include "harness/core/variant.h"
#include "kernels/device/cpu_plain.h"

namespace assay::cpu::attnres_bwd_naive {
namespace {

using namespace plain;

constexpr std::int64_t kParts = 32;  // of the tokens

struct Arguments {
  std::int64_t sources, queries, tokens, dim;
  float eps;
  bool accumulate;
  TensorView v, d_output, d_values;
  TensorView w, d_weights;
  TensorView g, d_gains;     // no data: absent
  TensorView d_lse;          // likewise
  float* scratch = nullptr;  // c (Q, D), then kParts of Scratch
};

// fp32 memory of one part.
struct Scratch {
  float* x;                   // (Q, D): its sum over tokens
  float *v, *d_output;        // rows of a token, (N, D) and (Q, D)
  float *r, *l, *alpha, *ds;  // (N), (N) for each query
  float* row;                 // (D)

  static std::int64_t floats(std::int64_t sources, std::int64_t queries, std::int64_t dim) {
    return (2 * queries + sources + 1) * dim + sources * (1 + 3 * queries);
  }
  Scratch(const Arguments& a, std::int64_t part) {
    float* next = a.scratch + a.queries * a.dim + part * floats(a.sources, a.queries, a.dim);
    const auto take = [&next](std::int64_t count) { return std::exchange(next, next + count); };
    x = take(a.queries * a.dim);
    v = take(a.sources * a.dim);
    d_output = take(a.queries * a.dim);
    row = take(a.dim);
    r = take(a.sources);
    l = take(a.queries * a.sources);
    alpha = take(a.queries * a.sources);
    ds = take(a.queries * a.sources);
  }
};

// α and ds of one query, from rows of V and dO.
void score(const Arguments& a, const Scratch& s, std::int64_t q, float d_lse) {
  float* const l = s.l + q * a.sources;
  float* const alpha = s.alpha + q * a.sources;
  float* const ds = s.ds + q * a.sources;
  for (std::int64_t n = 0; n < a.sources; ++n)
    l[n] = s.r[n] * dot(a.scratch + q * a.dim, s.v + n * a.dim, a.dim);
  const float max = *std::max_element(l, l + a.sources);
  float total = 0;
  for (std::int64_t n = 0; n < a.sources; ++n) total += alpha[n] = std::exp(l[n] - max);
  float delta = 0;
  for (std::int64_t n = 0; n < a.sources; ++n) {
    alpha[n] /= total;
    ds[n] = dot(s.d_output + q * a.dim, s.v + n * a.dim, a.dim);
    delta += alpha[n] * ds[n];
  }
  for (std::int64_t n = 0; n < a.sources; ++n) ds[n] = alpha[n] * (ds[n] - delta + d_lse);
}

void token(const Arguments& a, const Scratch& s, std::int64_t t) {
  for (std::int64_t n = 0; n < a.sources; ++n) {
    float* const v = s.v + n * a.dim;
    load_row(a.v, (n * a.tokens + t) * a.dim, a.dim, v);
    s.r[n] = 1 / std::sqrt(dot(v, v, a.dim) / static_cast<float>(a.dim) + a.eps);
  }
  for (std::int64_t q = 0; q < a.queries; ++q) {
    load_row(a.d_output, (q * a.tokens + t) * a.dim, a.dim, s.d_output + q * a.dim);
    float d_lse = 0;
    if (a.d_lse.data) load_row(a.d_lse, q * a.tokens + t, 1, &d_lse);
    score(a, s, q, d_lse);
  }
  for (std::int64_t n = 0; n < a.sources; ++n) {
    const std::int64_t first = (n * a.tokens + t) * a.dim;
    std::fill_n(s.row, a.dim, 0.0f);
    float projection = 0;
    for (std::int64_t q = 0; q < a.queries; ++q) {
      const std::int64_t at = q * a.sources + n;
      const float k = s.ds[at] * s.r[n];
      add_row(s.row, s.alpha[at], s.d_output + q * a.dim, a.dim);
      add_row(s.row, k, a.scratch + q * a.dim, a.dim);
      add_row(s.x + q * a.dim, k, s.v + n * a.dim, a.dim);
      projection += s.ds[at] * s.l[at];
    }
    projection *= s.r[n] * s.r[n] / static_cast<float>(a.dim);
    add_row(s.row, -projection, s.v + n * a.dim, a.dim);
    if (a.accumulate) {
      load_row(a.d_values, first, a.dim, s.v + n * a.dim);  // the row of V is not needed any more
      add_row(s.row, 1, s.v + n * a.dim, a.dim);
    }
    store_row(a.d_values, first, a.dim, s.row);
  }
}

void launch(const Arguments& a) {
  const std::int64_t weights = a.queries * a.dim;
  // c = w⊙g.
  load_row(a.w, 0, weights, a.scratch);
  const Scratch first(a, 0);
  if (a.g.data) {
    load_row(a.g, 0, weights, first.x);
    for (std::int64_t i = 0; i < weights; ++i) a.scratch[i] *= first.x[i];
  }
  const std::int64_t parts = std::min(kParts, a.tokens);
  parallel_for(parts, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t part = begin; part < end; ++part) {
      const Scratch s(a, part);
      std::fill_n(s.x, weights, 0.0f);
      for (std::int64_t t = a.tokens * part / parts; t < a.tokens * (part + 1) / parts; ++t)
        token(a, s, t);
    }
  });
  for (std::int64_t part = 1; part < parts; ++part)
    add_row(first.x, 1, Scratch(a, part).x, weights);
  // dw = g⊙X, dg = w⊙X, through the memory of c.
  store_product(a.g, a.d_weights, first.x, weights, a.scratch);
  if (a.d_gains.data) store_product(a.w, a.d_gains, first.x, weights, a.scratch);
}

Arguments arguments(const Problem& p, const Buffers& b) {
  const auto optional = [&](const char* name) {
    const TensorView* found = b.find(name);
    return found ? *found : TensorView{};
  };
  return {p.dim("N"),
          p.dim("Q"),
          p.dim("T"),
          p.dim("D"),
          static_cast<float>(p.real("eps")),
          p.flag("accumulate"),
          b["V"],
          b["dO"],
          b["dV"],
          b["w"],
          b["dw"],
          optional("g"),
          optional("dg"),
          optional("dLSE"),
          static_cast<float*>(b.workspace)};
}

ASSAY_VARIANT(naive){
    .op = "attnres_bwd",
    .name = "naive",
    .summary = "the formulas token by token, a pass over its rows a step",
    .numerics =
        [](const Problem& p) {
          return Numerics{.summation_height = height(p.dim("D"), kLanes),
                          .batch_height = height((p.dim("T") + kParts - 1) / kParts * p.dim("N") +
                                                     std::min(kParts, p.dim("T")),
                                                 1)};
        },
    .workspace =
        [](const Problem& p) {
          const std::int64_t parts = std::min(kParts, p.dim("T"));
          return Workspace{4 * (p.dim("Q") * p.dim("D") +
                                parts * Scratch::floats(p.dim("N"), p.dim("Q"), p.dim("D")))};
        },
    .prepare = [](const Problem& p, const Buffers& b) -> Launch {
      return [a = arguments(p, b)](Stream) { launch(a); };
    },
};

}  // namespace
}  // namespace assay::cpu::attnres_bwd_naive
