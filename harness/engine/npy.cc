#include "harness/engine/npy.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <string>
#include <vector>

#include "harness/core/error.h"

namespace assay {
namespace {

// As NumPy calls it.
const char* stored_type(DType dtype) { return dtype == DType::f16 ? "<f2" : "<f4"; }

// "(1,3,)"
std::string shape_text(const TensorSpec& spec) {
  std::string text = "(";
  for (const std::int64_t size : spec.shape) text += fmt::format("{},", size);
  return text + ")";
}

void write(const std::filesystem::path& path, const TensorSpec& spec, const char* type,
           const void* bytes, std::size_t count) {
  std::string header =
      fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': {}}}", type, shape_text(spec));
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

class Reader {
 public:
  explicit Reader(const std::filesystem::path& path) : path_(path), file_(path, std::ios::binary) {
    if (!file_) fail("cannot be read");
    std::string prefix(8, '\0');
    read(prefix.data(), prefix.size());
    if (prefix.compare(0, 6, "\x93NUMPY") != 0) fail("is no .npy file");
    const std::size_t width = prefix[6] == 1 ? 2 : 4;  // of the header's length, by version
    unsigned char length[4] = {};
    read(reinterpret_cast<char*>(length), width);
    header_.resize(length[0] | length[1] << 8 | length[2] << 16 |
                   static_cast<std::size_t>(length[3]) << 24);
    if (header_.size() > kLongest) fail("has a header that no tensor needs");
    read(header_.data(), header_.size());
  }

  void require(const TensorSpec& spec) const {
    const std::string type = value_of("descr");
    const std::string want = fmt::format("'{}'", stored_type(spec.dtype));
    if (type != want)
      fail(fmt::format("holds {}, want {}{}: convert it before saving", type, want,
                       spec.dtype == DType::bf16 ? ", bf16 widened to f32" : ""));
    if (value_of("fortran_order") != "False")
      fail("is stored column by column: save numpy.ascontiguousarray of it");
    std::string shape = value_of("shape");
    if (!shape.ends_with(",)")) shape.insert(shape.size() - 1, ",");
    if (shape != shape_text(spec))
      fail(fmt::format("has the shape {}, want {}", shape, shape_text(spec)));
  }

  void read(char* to, std::size_t bytes) {
    file_.read(to, static_cast<std::streamsize>(bytes));
    if (static_cast<std::size_t>(file_.gcount()) != bytes) fail("is cut off");
  }

  void require_end() {
    if (file_.peek() != std::ifstream::traits_type::eof()) fail("has bytes after its last element");
  }

  [[noreturn]] void fail(const std::string& what) const {
    throw UsageError(path_.string() + " " + what);
  }

 private:
  static constexpr std::size_t kLongest = 1 << 16;

  // What stands behind 'key': in the header, up to the next comma outside of parentheses, without
  // blanks.
  std::string value_of(const std::string& key) const {
    const std::size_t at = header_.find("'" + key + "':");
    if (at == std::string::npos) fail("has no " + key + " in its header");
    std::string value;
    int depth = 0;
    for (std::size_t i = at + key.size() + 3; i < header_.size(); ++i) {
      const char c = header_[i];
      if (depth == 0 && (c == ',' || c == '}')) break;
      depth += c == '(' ? 1 : c == ')' ? -1 : 0;
      if (c != ' ') value += c;
    }
    return value;
  }

  std::filesystem::path path_;
  std::ifstream file_;
  std::string header_;
};

}  // namespace

void write_npy(const std::filesystem::path& file, const TensorSpec& spec, const void* data) {
  const auto bytes = static_cast<std::size_t>(spec.bytes());
  if (spec.dtype != DType::bf16) return write(file, spec, stored_type(spec.dtype), data, bytes);
  std::vector<float> wide(static_cast<std::size_t>(spec.elements()));
  for (std::size_t i = 0; i < wide.size(); ++i)
    wide[i] = to_float(static_cast<const bf16*>(data)[i]);
  write(file, spec, "<f4", wide.data(), 4 * wide.size());
}

void write_npy(const std::filesystem::path& file, const TensorSpec& spec,
               std::span<const double> values) {
  write(file, spec, "<f8", values.data(), 8 * values.size());
}

void read_npy(const std::filesystem::path& file, const TensorSpec& spec, void* data) {
  Reader reader(file);
  reader.require(spec);
  if (spec.dtype != DType::bf16) {
    reader.read(static_cast<char*>(data), static_cast<std::size_t>(spec.bytes()));
    return reader.require_end();
  }
  constexpr std::int64_t kPart = 1 << 18;
  std::vector<std::uint32_t> part(static_cast<std::size_t>(std::min(kPart, spec.elements())));
  for (std::int64_t i = 0; i < spec.elements(); i += kPart) {
    part.resize(static_cast<std::size_t>(std::min(kPart, spec.elements() - i)));
    reader.read(reinterpret_cast<char*>(part.data()), 4 * part.size());
    for (std::size_t j = 0; j < part.size(); ++j) {
      const std::uint32_t bits = part[j];
      const bool is_nan = (bits & 0x7fffffff) > 0x7f800000;
      if ((bits & 0xffff) != 0 && !is_nan)
        reader.fail(fmt::format(
            "holds values that bf16 does not have, the first is {:.9g} at element {}: round to "
            "bf16 before widening to f32",
            __builtin_bit_cast(float, bits), i + static_cast<std::int64_t>(j)));
      // Of a NaN whose payload is below, one bit of it is kept: it must not become Inf.
      static_cast<bf16*>(data)[i + static_cast<std::int64_t>(j)].bits =
          static_cast<std::uint16_t>(bits >> 16 | (is_nan ? 0x40 : 0));
    }
  }
  reader.require_end();
}

}  // namespace assay
