// How a bug becomes a Liar, for every op: what differs from liar to liar (Wrong), and what those of
// an op share (Usual). Each op has a `wrong<Rule>(name, Wrong)`, which ASSAY_WRONG calls.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "harness/core/liar.h"
#include "kernels/device/twin.h"

#if !defined(ASSAY_SIMT_RACE)
#define ASSAY_SIMT_RACE 0
#endif
#if !defined(ASSAY_SIMT_ADDRESS)
#define ASSAY_SIMT_ADDRESS 0
#endif

namespace assay::ASSAY_TWIN::liar_making {

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

using Prepare = std::function<Launch(const Problem&, const Buffers&)>;

struct Wrong {
  std::string bug;
  std::vector<std::string> caught_by;
  std::string problem = {};  // empty: the op's
  Repeatability repeatability = Repeatability::bitwise;
  std::function<Numerics(const Problem&)> numerics = {};  // none: the op's
  std::function<Workspace(const Problem&)> workspace = {};
  bool needs_order = false;
  bool strided = false;
  Prepare prepare = {};  // none: one launch of the rule's kernel
};

struct Usual {
  std::string op, problem;
  std::function<Numerics(const Problem&)> numerics;
  std::function<std::string(const Problem&)> unsupported;
  Prepare prepare;
};

inline Liar make_liar(const char* name, Wrong w, Usual usual) {
  Liar liar;
  liar.bug = w.bug;
  liar.caught_by = std::move(w.caught_by);
  liar.problem = w.problem.empty() ? std::move(usual.problem) : std::move(w.problem);
  liar.needs_order = w.needs_order;
  Variant& variant = liar.variant;
  variant.op = std::move(usual.op);
  variant.name = name;
  variant.summary = w.bug.empty() ? "a correct kernel" : std::move(w.bug);
  variant.backend = kTwinBackend;
  variant.arch = {.min = 80};
  variant.repeatability = w.repeatability;
  variant.strided = w.strided;
  variant.numerics = w.numerics ? std::move(w.numerics) : std::move(usual.numerics);
  variant.unsupported = std::move(usual.unsupported);
  variant.workspace = std::move(w.workspace);
  variant.prepare = w.prepare ? std::move(w.prepare) : std::move(usual.prepare);
  return liar;
}

}  // namespace assay::ASSAY_TWIN::liar_making

#define ASSAY_WRONG(name, Rule, ...) ASSAY_LIAR(name)(wrong<Rule>(#name, Wrong{__VA_ARGS__}))
