// The liars of attnres_merge_fwd: ASSAY_WRONG(name, Rule, .bug = …, .caught_by = …, .problem = …);
#pragma once

#include <string>
#include <utility>

#include "kernels/device/launch.h"
#include "kernels/device/rows.h"
#include "kernels/liars/attnres_merge_fwd/correct.h"
#include "kernels/liars/liar.h"

namespace assay::ASSAY_TWIN::liars_attnres_merge_fwd {

using namespace liar_making;

// Enough for bugs that show at any size; D is no multiple of the block.
inline constexpr const char* kProblem = "attnres_merge_fwd g=1 u=1 T=5 D=72";

inline Arguments arguments(const Problem& p, const Buffers& buffers) {
  Arguments a = {};
  a.p = input(buffers, "P");
  a.w = input(buffers, "w");
  a.g = input(buffers, "g");
  a.o1 = input(buffers, "O1");
  a.l1 = input(buffers, "L1");
  a.u = input(buffers, "U");
  a.updated = output(buffers, "P");
  a.h = output(buffers, "H");
  a.lse = output(buffers, "LSE");
  a.dim = static_cast<int>(p.dim("D"));
  a.tokens = p.dim("T");
  a.eps = static_cast<float>(p.real("eps"));
  a.scratch = static_cast<float*>(buffers.workspace);
  return a;
}

template <class Rule>
void run(const Arguments& a, Stream stream, std::int64_t blocks) {
  launch(merge<Rule>,
         {.blocks = std::max<std::int64_t>(blocks, 1), .threads = kThreads, .stream = stream}, a);
}

inline Numerics correct_numerics(const Problem& p) {
  return {.summation_height = height(p.dim("D"), kThreads)};
}

template <class Rule>
Liar wrong(const char* name, Wrong w) {
  return make_liar(name, std::move(w),
                   {.op = "attnres_merge_fwd",
                    .problem = kProblem,
                    .numerics = correct_numerics,
                    .unsupported = [](const Problem& p) -> std::string {
                      if (p.has("U") && p.dtype_of("U") != p.dtype_of("P"))
                        return "U of another dtype than P";
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

}  // namespace assay::ASSAY_TWIN::liars_attnres_merge_fwd
