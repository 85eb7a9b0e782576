#include "harness/engine/inputs.h"

#include <utility>

#include "harness/core/host.h"

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
    inputs.storage.push_back(
        std::make_unique_for_overwrite<std::byte[]>(static_cast<std::size_t>(spec.bytes())));
    prefer_huge_pages(inputs.storage.back().get(), spec.bytes());
    inputs.tensors.add({std::move(spec), inputs.storage.back().get()});
  }
  return inputs;
}

}  // namespace assay
