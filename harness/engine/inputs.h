// Inputs are what a run reads, in host memory.
#pragma once

#include <optional>
#include <vector>

#include "harness/core/fingerprint.h"
#include "harness/core/host_memory.h"
#include "harness/core/op.h"

namespace assay {

// Host memory of one input set; the views point into it.
struct Inputs {
  Tensors tensors;
  std::vector<HostMemory> storage;
  // By tensor: what a device that it was sent to says of it. By these what lies in device memory
  // later is compared with them. Empty: sent once, and never compared.
  mutable std::vector<std::optional<Fingerprint>> prints{};

  // Those that are sent again and again: what they look like is worth keeping.
  void expect_again() { prints.assign(storage.size(), std::nullopt); }
  std::optional<Fingerprint>* print(std::size_t tensor) const {
    return prints.empty() ? nullptr : &prints[tensor];
  }
};

// For all that a problem reads; contents undefined.
Inputs allocate_inputs(const Op& op, const Problem& problem);

}  // namespace assay
