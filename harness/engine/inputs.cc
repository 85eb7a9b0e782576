#include "harness/engine/inputs.h"

#include <utility>

namespace assay {

Inputs allocate_inputs(const Op& op, const Problem& problem) {
  Inputs inputs;
  for (TensorSpec& spec : tensor_specs(op, problem)) {
    if (spec.role == Role::out) continue;
    inputs.storage.emplace_back(spec.bytes());
    inputs.tensors.add({std::move(spec), inputs.storage.back().get()});
  }
  return inputs;
}

}  // namespace assay
