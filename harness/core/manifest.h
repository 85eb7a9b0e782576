// A Manifest says what the files of a folder are: the inputs of one problem, exported for programs
// outside of Assay to compute from, and where they are to put their outputs. reports/jsonl.h writes
// and reads it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "harness/core/op.h"
#include "harness/core/problem.h"
#include "harness/core/tensor.h"

namespace assay {

inline constexpr const char* kManifestFile = "manifest.json";

// Which inputs: all else follows from it.
struct ManifestKey {
  std::string problem;
  std::string family;
  std::uint64_t seed = 0;
  std::string inputs;  // a hash of their bytes: other versions of Assay may make others
};

// Where others may time the same problem, and the limit of that device (Measurement::limit, floor).
struct ManifestDevice {
  std::string backend, name, clock;
  std::int64_t index = 0;
  std::int64_t memory_bytes = 0, cache_bytes = 0;
  double limit = 0;
  double floor = 0;  // seconds, cold
};

struct Manifest {
  ManifestKey key;
  Problem problem;
  std::vector<TensorSpec> tensors;
  Cost cost;
  // Of a composite: the text of the problem on which verify-file judges programs for this one.
  std::string judged_as;
  std::optional<ManifestDevice> device;
};

// "V.npy" to be read, "O.npy" to be written; what is updated in place has one of each.
std::string input_file(const TensorSpec& spec);   // empty: is only written
std::string output_file(const TensorSpec& spec);  // empty: is only read

}  // namespace assay
