// The liars of attnres_bwd: ASSAY_WRONG(name, Rule, .bug = …, .caught_by = …, .problem = …);
#pragma once

#include <string>
#include <utility>

#include "kernels/device/launch.h"
#include "kernels/liars/attnres_bwd/correct.h"
#include "kernels/liars/liar.h"

namespace assay::ASSAY_TWIN::liars_attnres_bwd {

using namespace liar_making;

// Enough for bugs that show at any size; D is no multiple of the block.
inline constexpr const char* kProblem = "attnres_bwd g=1 dlse=1 N=5 Q=2 T=5 D=72";

inline Arguments arguments(const Problem& p, const Buffers& buffers) {
  Arguments a = {};
  a.v = input(buffers, "V");
  a.w = input(buffers, "w");
  a.g = input(buffers, "g");
  a.d_o = input(buffers, "dO");
  a.d_lse = input(buffers, "dLSE");
  a.d_v = output(buffers, "dV");
  a.d_w = output(buffers, "dw");
  a.d_g = output(buffers, "dg");
  a.sources = static_cast<int>(p.dim("N"));
  a.queries = static_cast<int>(p.dim("Q"));
  a.dim = static_cast<int>(p.dim("D"));
  a.tokens = p.dim("T");
  a.eps = static_cast<float>(p.real("eps"));
  a.accumulate = p.flag("accumulate");
  a.x = static_cast<float*>(buffers.workspace);
  return a;
}

template <class Rule>
void run(const Arguments& a, Stream stream, std::int64_t tokens) {
  const std::int64_t pairs = static_cast<std::int64_t>(a.queries) * a.sources;
  launch(gradients<Rule>,
         {.blocks = std::max<std::int64_t>(tokens, 1),
          .threads = kThreads,
          .shared_bytes = pairs * static_cast<std::int64_t>(sizeof(Score) + sizeof(Coefficients)),
          .stream = stream},
         a);
  const std::int64_t columns = static_cast<std::int64_t>(a.queries) * a.dim;
  launch(weights<Rule>,
         {.blocks = (columns + kThreads - 1) / kThreads, .threads = kThreads, .stream = stream}, a);
}

inline Numerics correct_numerics(const Problem& p) {
  Numerics numerics;
  numerics.summation_height = height(p.dim("D"), kThreads);
  numerics.batch_height = height(p.dim("T") + p.dim("N"), 1);
  return numerics;
}

template <class Rule>
Liar wrong(const char* name, Wrong w) {
  w.workspace = [](const Problem& p) {
    return Workspace{4 * p.dim("T") * p.dim("Q") * p.dim("D")};
  };
  return make_liar(name, std::move(w),
                   {.op = "attnres_bwd",
                    .problem = kProblem,
                    .numerics = correct_numerics,
                    .unsupported = [](const Problem& p) -> std::string {
                      if (p.dim("N") * p.dim("Q") > 1500) return "N·Q above 1500";
                      for (const char* dim : {"T", "D"})
                        if (p.dim(dim) > 1 << 20) return std::string(dim) + " above 2^20";
                      return "";
                    },
                    .prepare = [](const Problem& p, const Buffers& buffers) -> Launch {
                      return [a = arguments(p, buffers)](Stream stream) {
                        run<Rule>(a, stream, a.tokens);
                      };
                    }});
}

}  // namespace assay::ASSAY_TWIN::liars_attnres_bwd
