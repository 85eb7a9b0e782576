#include "harness/engine/inputs.h"

#include <utility>

namespace assay {

void Inputs::take_prints() {
  prints.clear();
  for (const TensorView& tensor : tensors)
    prints.push_back(fingerprint(tensor.data, tensor.spec.bytes()));
}

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
