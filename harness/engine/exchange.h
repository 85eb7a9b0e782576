// What Assay exchanges with other programs: a folder of .npy files, into which it writes the inputs
// of a problem and from which it reads the outputs that somebody else computed.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "harness/core/manifest.h"
#include "harness/engine/oracle.h"

namespace assay {

// The family of that name, the problem's own or the first, in this order. Throws UsageError where
// it is unknown, contradicts the problem or says nothing about it.
const Family& family_for_export(const Problem& problem, const std::string& name);

// 16 hex digits.
std::string hash_of_inputs(const Inputs& inputs);

// Makes the folder and writes the inputs as files; the manifest that goes with them is returned.
// Outputs that lie there from before are removed. Throws EnvironmentError.
Manifest export_inputs(const std::filesystem::path& folder, const Problem& problem,
                       const Family& family, std::uint64_t seed, Oracle& oracle);

struct ForeignOutputs {
  std::vector<TensorView> tensors;  // those that there are
  std::vector<std::string> missing;
  std::vector<std::unique_ptr<std::byte[]>> storage;
};

// Throws UsageError where there is none at all, or one that is not what the problem asks for.
ForeignOutputs read_outputs(const std::filesystem::path& folder, const Problem& problem);

}  // namespace assay
