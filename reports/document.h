// A document with tables in it: the text between lines
//
//   <!-- assay:table NAME [key=value]... -->
//   <!-- assay:end -->
//
// is replaced by the table that the first one names (tables.h). What stands in a fenced code block
// is left alone.
#pragma once

#include <string>
#include <vector>

namespace assay {

struct Document {
  std::string text;                // with every table made anew
  int tables = 0;                  // how many there are
  std::vector<int> stale;          // lines of the markers whose tables were others
  std::vector<std::string> notes;  // what was left out of the results that were read
};

// `path` is where the document lies: results= is relative to its folder. `files` are read for
// tables without results=. Throws UsageError that begins with path and line.
Document fill_tables(const std::string& text, const std::string& path,
                     const std::vector<std::string>& files);

}  // namespace assay
