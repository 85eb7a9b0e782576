// How a bug becomes a Liar: ASSAY_WRONG(name, Rule, .bug = …, .caught_by = …, .problem = …);
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "harness/core/liar.h"
#include "kernels/device/launch.h"
#include "kernels/liars/attnres_fwd/correct.h"

#if !defined(ASSAY_SIMT_RACE)
#define ASSAY_SIMT_RACE 0
#endif
#if !defined(ASSAY_SIMT_ADDRESS)
#define ASSAY_SIMT_ADDRESS 0
#endif

namespace assay::ASSAY_TWIN::liars_attnres_fwd {

// Enough for bugs that show at any size: D is no multiple of the block, N no power of two.
inline constexpr const char* kProblem = "attnres_fwd g=1 N=5 Q=2 T=5 D=72";

// Kinds of checks by what the kernels are built for: a GPU, or a flavour of the simt executor.
struct Builds {
  std::vector<std::string> cuda, plain, race, address;
};
inline std::vector<std::string> caught_on(Builds builds) {
  if (kTwinBackend == Backend::cuda) return std::move(builds.cuda);
  if (ASSAY_SIMT_RACE) return std::move(builds.race);
  if (ASSAY_SIMT_ADDRESS) return std::move(builds.address);
  return std::move(builds.plain);
}

inline Arguments arguments(const Problem& p, const Buffers& buffers) {
  const auto input = [&](std::string_view name) {
    const TensorView* view = buffers.find(name);
    return view ? AnyInput{view->data, view->spec.dtype} : AnyInput{};
  };
  const auto output = [&](std::string_view name) {
    return AnyOutput{buffers[name].data, buffers[name].spec.dtype};
  };
  Arguments a = {};
  a.v = input("V");
  a.w = input("w");
  a.g = input("g");
  a.o = output("O");
  a.lse = output("LSE");
  a.sources = static_cast<int>(p.dim("N"));
  a.queries = static_cast<int>(p.dim("Q"));
  a.dim = static_cast<int>(p.dim("D"));
  a.tokens = p.dim("T");
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

using Prepare = std::function<Launch(const Problem&, const Buffers&)>;

struct Wrong {
  std::string bug;
  std::vector<std::string> caught_by;
  std::string problem = kProblem;
  Repeatability repeatability = Repeatability::bitwise;
  std::function<Numerics(const Problem&)> numerics = correct_numerics;
  std::function<Workspace(const Problem&)> workspace = {};
  bool needs_order = false;
  Prepare prepare = {};  // none: one launch of attend<Rule>
};

template <class Rule>
Liar wrong(const char* name, Wrong w) {
  Liar liar;
  liar.bug = w.bug;
  liar.caught_by = std::move(w.caught_by);
  liar.problem = std::move(w.problem);
  liar.needs_order = w.needs_order;
  Variant& variant = liar.variant;
  variant.op = "attnres_fwd";
  variant.name = name;
  variant.summary = w.bug.empty() ? "a correct kernel" : std::move(w.bug);
  variant.backend = kTwinBackend;
  variant.arch = {.min = 80};
  variant.repeatability = w.repeatability;
  variant.numerics = std::move(w.numerics);
  variant.unsupported = [](const Problem& p) -> std::string {
    if (p.dim("D") > 12288) return "D above 12288";  // 48 KB of shared memory
    for (const char* dim : {"N", "Q", "T"})
      if (p.dim(dim) > 1 << 20) return std::string(dim) + " above 2^20";
    return "";
  };
  variant.workspace = std::move(w.workspace);
  variant.prepare = std::move(w.prepare);
  if (!variant.prepare) {
    variant.prepare = [](const Problem& p, const Buffers& buffers) -> Launch {
      return [a = arguments(p, buffers)](Stream stream) { run<Rule>(a, stream); };
    };
  }
  return liar;
}

}  // namespace assay::ASSAY_TWIN::liars_attnres_fwd

#define ASSAY_WRONG(name, Rule, ...) ASSAY_LIAR(name)(wrong<Rule>(#name, Wrong{__VA_ARGS__}))
