#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "harness/core/error.h"
#include "reports/jsonl.h"

namespace assay {

bool ends_with_break(const std::string& path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file || file.tellg() <= 0) return true;
  file.seekg(-1, std::ios::end);
  return file.get() == '\n';
}

JsonlWriter::JsonlWriter(const std::string& path) : path_(path) {
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  std::error_code failure;
  if (!folder.empty()) std::filesystem::create_directories(folder, failure);
  // A file whose last line was cut gets its line break first, or the next record would be lost with
  // it.
  const bool cut = !ends_with_break(path);
  errno = 0;
  file_.open(path, std::ios::app);
  if (!file_) throw UsageError(fmt::format("cannot write {}: {}", path, std::strerror(errno)));
  if (cut) file_ << '\n';
  if (std::filesystem::is_regular_file(path)) samples_.emplace(path);
}

void JsonlWriter::write(Record record) {
  for (Measurement& measurement : record.measurements) {
    if (samples_ && !measurement.taken.empty())
      measurement.kept = samples_->write(measurement.taken);
    measurement.taken.clear();
  }
  write_line(to_json(record));
}

void JsonlWriter::write_line(const std::string& line) {
  file_ << line << '\n' << std::flush;
  if (!file_) throw EnvironmentError("cannot write to " + path_ + " any more: is the disk full?");
}

}  // namespace assay
