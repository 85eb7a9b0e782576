// Files as wholes.
#pragma once

#include <string>

namespace assay {

// Throws UsageError where it can't be read.
std::string read_file(const std::string& path);

// Writes a file so that whoever reads it meanwhile sees the old text or the new one, never a part:
// beside it, then renamed over it. Folders are made; a link keeps pointing where it did, a file its
// permissions. What is no plain file (a pipe, a terminal) is written to. Throws UsageError.
void replace_file(const std::string& path, const std::string& text);

}  // namespace assay
