// Tensors as files that NumPy reads (format 1.0 of .npy): bf16, which NumPy lacks, widened to f32.
#pragma once

#include <filesystem>
#include <span>

#include "harness/core/tensor.h"

namespace assay {

// Host memory. Throws EnvironmentError where the file can't be written.
void write_npy(const std::filesystem::path& file, const TensorSpec& spec, const void* data);
void write_npy(const std::filesystem::path& file, const TensorSpec& spec,
               std::span<const double> values);  // of that shape

}  // namespace assay
