// Liar is a deliberately wrong variant, which verification must reject: `assay selftest` runs all
// of them. They live in kernels/liars/, are never listed among the variants and never part of a
// sweep.
#pragma once

#include <string>
#include <vector>

#include "harness/core/variant.h"

namespace assay {

struct Liar {
  // What is wrong, a line. Empty: nothing, a control that must not be rejected.
  std::string bug;
  // Kinds of the checks each of which rejects it, at every seed, in this build; others may too.
  // One: no other can. None, with a bug: this build need not see it.
  std::vector<std::string> caught_by;
  // The least problem at which it lies. Without `dtype=`: at every dtype.
  std::string problem{};
  // Lies only where the order of threads changes from run to run, which it does not on the cpu
  // backend: there they take turns.
  bool needs_order = false;
  Variant variant;
};

// Liars that wait for verification to end are right this often. Whatever is to see them must launch
// one prepared case more often.
inline constexpr int kLiarPatience = 2000;

struct RegisterLiar {
  RegisterLiar(Liar liar);  // NOLINT(google-explicit-constructor): ASSAY_LIAR relies on it
};

const std::vector<const Liar*>& liars();  // sorted by op, backend and name

}  // namespace assay

// ASSAY_LIAR(omits_norm) { .bug = "…", .caught_by = {"interval"}, .variant = {…} };
#define ASSAY_LIAR(identifier) \
  static const ::assay::RegisterLiar assay_liar_##identifier = ::assay::Liar
