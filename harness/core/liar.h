// Liar is a deliberately wrong variant, which verification must reject: `assay selftest` runs all
// of them. They live in kernels/liars/, are never listed among the variants and never part of a
// sweep.
#pragma once

#include <string>
#include <vector>

#include "harness/core/variant.h"

namespace assay {

struct Liar {
  std::string bug;                     // what is wrong, a line
  std::vector<std::string> caught_by;  // kinds of the checks expected to reject it, at every seed
  Variant variant;
};

struct RegisterLiar {
  RegisterLiar(Liar liar);  // NOLINT(google-explicit-constructor): ASSAY_LIAR relies on it
};

const std::vector<const Liar*>& liars();  // sorted by op, backend and name

}  // namespace assay

// ASSAY_LIAR(omits_norm) { .bug = "…", .caught_by = {"interval"}, .variant = {…} };
#define ASSAY_LIAR(identifier) \
  static const ::assay::RegisterLiar assay_liar_##identifier = ::assay::Liar
