// The liars of attnres_merge_bwd: ASSAY_WRONG(name, Rule, .bug = …, .caught_by = …, .problem = …);
#pragma once

#include <string>
#include <utility>

#include "kernels/device/launch.h"
#include "kernels/liars/attnres_merge_bwd/correct.h"
#include "kernels/liars/liar.h"

namespace assay::ASSAY_TWIN::liars_attnres_merge_bwd {

using namespace liar_making;

// Enough for bugs that show at any size; D is no multiple of the block.
inline constexpr const char* kProblem = "attnres_merge_bwd g=1 dlse=1 T=5 D=72";

inline Arguments arguments(const Problem& p, const Buffers& buffers) {
  Arguments a = {};
  a.p = input(buffers, "P");
  a.o1 = input(buffers, "O1");
  a.d_h = input(buffers, "dH");
  a.w = input(buffers, "w");
  a.g = input(buffers, "g");
  a.l1 = input(buffers, "L1");
  a.d_lse = input(buffers, "dLSE");
  a.d_p = output(buffers, "dP");
  a.d_o1 = output(buffers, "dO1");
  a.d_l1 = output(buffers, "dL1");
  a.d_w = output(buffers, "dw");
  a.d_g = output(buffers, "dg");
  a.dim = static_cast<int>(p.dim("D"));
  a.tokens = p.dim("T");
  a.eps = static_cast<float>(p.real("eps"));
  a.accumulate = p.flag("accumulate");
  a.x = static_cast<float*>(buffers.workspace);
  return a;
}

template <class Rule>
void run(const Arguments& a, Stream stream, std::int64_t tokens) {
  launch(gradients<Rule>,
         {.blocks = std::max<std::int64_t>(tokens, 1), .threads = kThreads, .stream = stream}, a);
  launch(weights<Rule>,
         {.blocks = ceil_div(a.dim, kThreads), .threads = kThreads, .stream = stream}, a);
}

inline Numerics correct_numerics(const Problem& p) {
  Numerics numerics;
  numerics.summation_height = height(p.dim("D"), kThreads);
  numerics.batch_height = height(p.dim("T"), 1);
  return numerics;
}

template <class Rule>
Liar wrong(const char* name, Wrong w) {
  w.workspace = [](const Problem& p) { return Workspace{4 * p.dim("T") * p.dim("D")}; };
  return make_liar(name, std::move(w),
                   {.op = "attnres_merge_bwd",
                    .problem = kProblem,
                    .numerics = correct_numerics,
                    .unsupported = [](const Problem& p) -> std::string {
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

}  // namespace assay::ASSAY_TWIN::liars_attnres_merge_bwd
