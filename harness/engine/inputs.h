// Inputs are what a run reads, in host memory.
#pragma once

#include <vector>

#include "harness/core/fingerprint.h"
#include "harness/core/host_memory.h"
#include "harness/core/op.h"

namespace assay {

// Host memory of one input set; the views point into it.
struct Inputs {
  Tensors tensors;
  std::vector<HostMemory> storage;
  // Of each tensor, once they are filled: by these what lies in device memory is compared with
  // them. Empty: not taken.
  std::vector<Fingerprint> prints{};

  void take_prints();
};

// For all that a problem reads; contents undefined.
Inputs allocate_inputs(const Op& op, const Problem& problem);

}  // namespace assay
