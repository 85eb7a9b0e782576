#include "harness/core/file.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "harness/core/error.h"

namespace assay {

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (!file || std::filesystem::is_directory(path) || !(text << file.rdbuf()))
    throw UsageError("cannot read " + path);
  return text.str();
}

void replace_file(const std::string& path, const std::string& text) {
  namespace fs = std::filesystem;
  std::error_code failure;
  fs::path target = path;
  if (fs::is_symlink(target, failure)) target = fs::weakly_canonical(target, failure);
  const bool plain = !fs::exists(target, failure) || fs::is_regular_file(target, failure);
  if (const fs::path folder = target.parent_path(); !folder.empty())
    fs::create_directories(folder, failure);
  fs::path written = target;
  if (plain) written += ".new" + std::to_string(getpid());
  errno = 0;
  std::ofstream file(written, std::ios::binary);
  file << text;
  file.close();
  const auto fail = [&](const std::string& why) {
    if (plain) fs::remove(written, failure);
    throw UsageError("cannot write " + path + ": " + why);
  };
  if (!file) fail(errno ? std::strerror(errno) : "the disk may be full");
  if (!plain) return;
  if (const auto old = fs::status(target, failure); fs::exists(old))
    fs::permissions(written, old.permissions(), failure);
  fs::rename(written, target, failure);
  if (failure) fail(failure.message());
}

}  // namespace assay
