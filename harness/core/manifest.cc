#include "harness/core/manifest.h"

namespace assay {

std::string input_file(const TensorSpec& spec) {
  return spec.role == Role::out ? "" : spec.name + ".npy";
}

std::string output_file(const TensorSpec& spec) {
  if (spec.role == Role::in) return "";
  return spec.name + (spec.role == Role::inout ? "_updated.npy" : ".npy");
}

}  // namespace assay
