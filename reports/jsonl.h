// Records and environments as JSON, one object a line: the format in which results are kept.
#pragma once

#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "harness/core/manifest.h"
#include "harness/core/record.h"
#include "reports/results.h"
#include "reports/samples.h"

namespace assay {

// {"schema":1,"kind":"case",…} and {"schema":1,"kind":"environment",…}, without the line break.
// Numbers that JSON does not have are written as the texts "inf", "-inf" and "nan".
std::string to_json(const Record& record);
std::string to_json(const Environment& environment);

Record read_record(const std::string& line);  // throws what is wrong with it

// An object of several lines. Of a manifest only what identifies the inputs is read; throws
// UsageError that says what is wrong with it.
std::string to_json(const Manifest& manifest);
ManifestKey read_manifest(const std::string& text);

// A flat object of texts on one line, for messages between processes.
using Fields = std::vector<std::pair<std::string, std::string>>;
std::string to_json(const Fields& fields);
Fields read_fields(const std::string& line);

// A text with its quotation marks, in ASCII; what is no UTF-8 becomes U+FFFD.
std::string json_ascii(std::string_view text);

// Reads files of such lines. A line that is cut, is no JSON or has another schema is left out with
// a note naming file, line and reason; a file that can't be read throws UsageError.
Results read_results(const std::vector<std::string>& files);

// False: whoever wrote the last line of the file was stopped in the middle of it.
bool ends_with_break(const std::string& path);

// Appends to a file, each line flushed as it happens, and the samples to the file beside it (to
// none beside a pipe or a terminal). Opening throws UsageError, before any work is done.
class JsonlWriter {
 public:
  explicit JsonlWriter(const std::string& path);
  void write(Record record);
  void write(const Environment& environment) { write_line(to_json(environment)); }

 private:
  void write_line(const std::string& line);  // throws EnvironmentError when the disk is full
  std::string path_;
  std::ofstream file_;
  std::optional<SampleWriter> samples_;
};

}  // namespace assay
