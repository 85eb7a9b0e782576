// Samples of measurements in a binary file beside the records: `results.jsonl` has
// `results.samples`. A record names the part that is its own, with a checksum, so that files that
// were cut, mixed up or left behind give no samples instead of wrong ones.
//
// All numbers are little-endian. The file begins with the 8 letters "assaysmp", the version (u32)
// and the bytes of a sample (u32); then blocks of samples: seconds (f32), SM clock in MHz (f32, 0
// where unknown) and flags (u32; 1: throttled).
#pragma once

#include <cstdint>
#include <fstream>
#include <string>
#include <vector>

#include "harness/core/record.h"

namespace assay {

// Where the samples of the records in `results` are.
std::string samples_path(const std::string& results);

// Appends blocks. Beside records that are new or empty the file begins anew.
class SampleWriter {
 public:
  // Throws UsageError where the file can't be written or is no file of samples.
  explicit SampleWriter(const std::string& results);
  // Throws EnvironmentError when the disk is full.
  SampleBlock write(const std::vector<Sample>& samples);

 private:
  std::string path_;
  std::ofstream file_;
};

// Keeps the file open that it read last.
class SampleReader {
 public:
  // The samples of a measurement; none where it has none, or where they can't be read, which
  // notes() then says.
  std::vector<Sample> read(const Measurement& measurement);
  const std::vector<std::string>& notes() const { return notes_; }  // each once

 private:
  bool open(const std::string& path);
  void note(const std::string& text);

  std::string path_;
  std::ifstream file_;
  std::int64_t size_ = 0;
  bool usable_ = false;
  std::vector<std::string> notes_;
};

}  // namespace assay
