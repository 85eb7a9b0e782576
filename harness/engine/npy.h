// Tensors as files that NumPy reads and writes (format .npy): bf16, which NumPy lacks, widened to
// f32.
#pragma once

#include <filesystem>
#include <span>

#include "harness/core/tensor.h"

namespace assay {

// Host memory. Throws EnvironmentError where the file can't be written.
void write_npy(const std::filesystem::path& file, const TensorSpec& spec, const void* data);
void write_npy(const std::filesystem::path& file, const TensorSpec& spec,
               std::span<const double> values);  // of that shape

// Reads what write_npy would write for `spec` into host memory. Throws UsageError where the file is
// of another shape or type, is cut off, or holds values that the dtype does not have.
void read_npy(const std::filesystem::path& file, const TensorSpec& spec, void* data);

}  // namespace assay
