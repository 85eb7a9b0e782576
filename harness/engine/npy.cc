#include "harness/engine/npy.h"

#include <fmt/format.h>

#include <fstream>
#include <vector>

#include "harness/core/error.h"

namespace assay {
namespace {

void write(const std::filesystem::path& path, const TensorSpec& spec, const char* type,
           const void* bytes, std::size_t count) {
  std::string shape;
  for (const std::int64_t size : spec.shape) shape += fmt::format("{},", size);
  std::string header =
      fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({})}}", type, shape);
  // The data begin at a multiple of 64, after a line break.
  constexpr std::size_t kPrefix = 10, kUnit = 64;
  header.append((kUnit - (kPrefix + header.size() + 1) % kUnit) % kUnit, ' ');
  header += '\n';
  std::ofstream file(path, std::ios::binary);
  const auto size = static_cast<std::uint16_t>(header.size());
  file.write("\x93NUMPY\x01\x00", 8);
  file.put(static_cast<char>(size & 0xff)).put(static_cast<char>(size >> 8));
  file << header;
  file.write(static_cast<const char*>(bytes), static_cast<std::streamsize>(count));
  if (!file.flush()) throw EnvironmentError("cannot write " + path.string());
}

}  // namespace

void write_npy(const std::filesystem::path& file, const TensorSpec& spec, const void* data) {
  const auto bytes = static_cast<std::size_t>(spec.bytes());
  if (spec.dtype != DType::bf16)
    return write(file, spec, spec.dtype == DType::f16 ? "<f2" : "<f4", data, bytes);
  std::vector<float> wide(static_cast<std::size_t>(spec.elements()));
  for (std::size_t i = 0; i < wide.size(); ++i)
    wide[i] = to_float(static_cast<const bf16*>(data)[i]);
  write(file, spec, "<f4", wide.data(), 4 * wide.size());
}

void write_npy(const std::filesystem::path& file, const TensorSpec& spec,
               std::span<const double> values) {
  write(file, spec, "<f8", values.data(), 8 * values.size());
}

}  // namespace assay
