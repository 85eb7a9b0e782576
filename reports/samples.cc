#include "reports/samples.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string_view>

#include "harness/core/error.h"
#include "harness/core/text.h"

namespace assay {
namespace {

constexpr std::string_view kMagic = "assaysmp";
constexpr std::uint32_t kVersion = 1;
constexpr std::uint32_t kThrottled = 1;
constexpr std::int64_t kSampleBytes = 12;
constexpr std::int64_t kHeaderBytes = 16;

void put(std::string& bytes, std::uint32_t value) {
  for (int shift = 0; shift < 32; shift += 8)
    bytes.push_back(static_cast<char>(value >> shift & 0xff));
}

std::uint32_t get(std::string_view bytes, std::size_t offset) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i)
    value |= std::uint32_t{static_cast<unsigned char>(bytes[offset + i])} << 8 * i;
  return value;
}

std::string header() {
  std::string bytes(kMagic);
  put(bytes, kVersion);
  put(bytes, kSampleBytes);
  return bytes;
}

std::string encode(const std::vector<Sample>& samples) {
  std::string bytes;
  bytes.reserve(samples.size() * kSampleBytes);
  for (const Sample& sample : samples) {
    put(bytes, std::bit_cast<std::uint32_t>(static_cast<float>(sample.seconds)));
    put(bytes, std::bit_cast<std::uint32_t>(sample.sm_mhz));
    put(bytes, sample.throttled ? kThrottled : 0);
  }
  return bytes;
}

std::vector<Sample> decode(std::string_view bytes) {
  std::vector<Sample> samples(bytes.size() / kSampleBytes);
  for (std::size_t i = 0; i < samples.size(); ++i) {
    const std::size_t at = i * kSampleBytes;
    samples[i].seconds = std::bit_cast<float>(get(bytes, at));
    samples[i].sm_mhz = std::bit_cast<float>(get(bytes, at + 4));
    samples[i].throttled = (get(bytes, at + 8) & kThrottled) != 0;
  }
  return samples;
}

std::string checksum(std::string_view bytes) { return fmt::format("{:016x}", hash_of(bytes)); }

// What is wrong with the first bytes of a file of samples, or an empty text.
std::string header_error(std::string_view bytes) {
  if (bytes.size() < kHeaderBytes || bytes.substr(0, kMagic.size()) != kMagic)
    return "it is no file of samples";
  if (const std::uint32_t version = get(bytes, kMagic.size()); version != kVersion)
    return fmt::format("its version is {}, this program reads {}", version, kVersion);
  return bytes == header() ? "" : "its header is damaged";
}

std::string read_header(std::istream& file) {
  std::string bytes(kHeaderBytes, '\0');
  file.read(bytes.data(), kHeaderBytes);
  bytes.resize(static_cast<std::size_t>(file.gcount()));
  return bytes;
}

bool is_empty(const std::string& path) {
  std::error_code failure;
  const auto size = std::filesystem::file_size(path, failure);
  return failure || size == 0;
}

}  // namespace

std::string samples_path(const std::string& results) {
  constexpr std::string_view kEnding = ".jsonl";
  const bool has_ending = results.size() > kEnding.size() && results.ends_with(kEnding);
  return results.substr(0, results.size() - (has_ending ? kEnding.size() : 0)) + ".samples";
}

SampleWriter::SampleWriter(const std::string& results) : path_(samples_path(results)) {
  // What lies beside no records belongs to some that are gone.
  const bool anew = is_empty(results) || is_empty(path_);
  if (!anew) {
    std::ifstream old(path_, std::ios::binary);
    if (const std::string why = header_error(read_header(old)); !why.empty())
      throw UsageError(
          fmt::format("cannot keep samples in {}: {}; move it away, or write the records elsewhere",
                      path_, why));
  }
  errno = 0;
  if (anew) std::ofstream(path_, std::ios::binary | std::ios::trunc) << header();
  file_.open(path_, std::ios::binary | std::ios::app);
  if (!file_) throw UsageError(fmt::format("cannot write {}: {}", path_, std::strerror(errno)));
}

SampleBlock SampleWriter::write(const std::vector<Sample>& samples) {
  const std::string bytes = encode(samples);
  file_.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  file_.flush();
  if (!file_) throw EnvironmentError("cannot write to " + path_ + " any more: is the disk full?");
  SampleBlock block;
  block.file = path_;
  block.offset = static_cast<std::int64_t>(file_.tellp()) - static_cast<std::int64_t>(bytes.size());
  block.count = static_cast<std::int64_t>(samples.size());
  block.checksum = checksum(bytes);
  return block;
}

std::vector<Sample> SampleReader::read(const Measurement& measurement) {
  if (!measurement.taken.empty()) return measurement.taken;
  if (!measurement.kept || measurement.kept->file.empty()) return {};
  const SampleBlock& block = *measurement.kept;
  if (!open(block.file)) return {};
  const bool inside = block.offset >= kHeaderBytes && block.count >= 0 && block.offset <= size_ &&
                      block.count <= (size_ - block.offset) / kSampleBytes;
  if (!inside) {
    note(fmt::format("{}: samples are missing, the file ends before them", path_));
    return {};
  }
  std::string bytes(static_cast<std::size_t>(block.count * kSampleBytes), '\0');
  file_.clear();
  file_.seekg(block.offset);
  file_.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  if (file_.gcount() != static_cast<std::streamsize>(bytes.size()) ||
      checksum(bytes) != block.checksum) {
    note(fmt::format(
        "{}: left out samples that are not those of their record: the checksum differs", path_));
    return {};
  }
  return decode(bytes);
}

bool SampleReader::open(const std::string& path) {
  if (path == path_) return usable_;
  path_ = path;
  file_ = std::ifstream(path, std::ios::binary);
  std::error_code failure;
  const auto size = std::filesystem::file_size(path, failure);
  size_ = failure ? 0 : static_cast<std::int64_t>(size);
  const std::string why = !file_ || failure ? "it can't be read" : header_error(read_header(file_));
  usable_ = why.empty();
  if (!usable_) note(fmt::format("no samples from {}: {}", path, why));
  return usable_;
}

void SampleReader::note(const std::string& text) {
  if (std::find(notes_.begin(), notes_.end(), text) == notes_.end()) notes_.push_back(text);
}

}  // namespace assay
