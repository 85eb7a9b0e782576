// The liars of attnres_fwd: ASSAY_WRONG(name, Rule, .bug = …, .caught_by = …, .problem = …);
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "kernels/device/launch.h"
#include "kernels/device/rows.h"
#include "kernels/liars/attnres_fwd/correct.h"
#include "kernels/liars/liar.h"

namespace assay::ASSAY_TWIN::liars_attnres_fwd {

using namespace liar_making;

// Enough for bugs that show at any size: D is no multiple of the block, N no power of two.
inline constexpr const char* kProblem = "attnres_fwd g=1 N=5 Q=2 T=5 D=72";

inline Arguments arguments(const Problem& p, const Buffers& buffers) {
  Arguments a = {};
  a.v = input(buffers, "V");
  a.w = input(buffers, "w");
  a.g = input(buffers, "g");
  a.o = output(buffers, "O");
  a.lse = output(buffers, "LSE");
  a.sources = static_cast<int>(p.dim("N"));
  a.queries = static_cast<int>(p.dim("Q"));
  a.dim = static_cast<int>(p.dim("D"));
  a.tokens = p.dim("T");
  a.v_pitch = row_pitch(buffers, "V");
  a.w_pitch = row_pitch(buffers, "w");
  a.g_pitch = row_pitch(buffers, "g");
  a.o_pitch = row_pitch(buffers, "O");
  a.lse_pitch = row_pitch(buffers, "LSE");
  a.eps = static_cast<float>(p.real("eps"));
  a.scratch = static_cast<float*>(buffers.workspace);
  return a;
}

inline LaunchConfig grid(const Arguments& a, std::int64_t blocks, Stream stream) {
  return {.blocks = std::max<std::int64_t>(blocks, 1),
          .threads = kThreads,
          .shared_bytes = 4 * static_cast<std::int64_t>(a.dim),
          .stream = stream};
}

template <class Rule>
void run(const Arguments& a, Stream stream) {
  launch(attend<Rule>, grid(a, a.tokens, stream), a);
}

inline Numerics correct_numerics(const Problem& p) {
  return {.summation_height = height(p.dim("D"), kThreads),
          .rescales = static_cast<double>(p.dim("N"))};
}

template <class Rule>
Liar wrong(const char* name, Wrong w) {
  return make_liar(name, std::move(w),
                   {.op = "attnres_fwd",
                    .problem = kProblem,
                    .numerics = correct_numerics,
                    .unsupported = [](const Problem& p) -> std::string {
                      if (p.dim("D") > 12288) return "D above 12288";  // 48 KB of shared memory
                      for (const char* dim : {"N", "Q", "T"})
                        if (p.dim(dim) > 1 << 20) return std::string(dim) + " above 2^20";
                      return "";
                    },
                    .prepare = [](const Problem& p, const Buffers& buffers) -> Launch {
                      return [a = arguments(p, buffers)](Stream stream) { run<Rule>(a, stream); };
                    }});
}

}  // namespace assay::ASSAY_TWIN::liars_attnres_fwd
