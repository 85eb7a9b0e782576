// CSV as RFC 4180 has it: every column, raw SI numbers, a header line.
#include "reports/columns.h"
#include "reports/writer.h"

namespace assay {
namespace {

std::string quoted(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string result = "\"";
  for (const char c : text) result += c == '"' ? "\"\"" : std::string(1, c);
  return result + "\"";
}

std::string write_csv(const Results& results) {
  std::string text;
  for (const Column& column : columns()) text += (text.empty() ? "" : ",") + column.key;
  text += "\n";
  for (const Record& record : results.records) {
    std::string line;
    bool first = true;
    for (const Column& column : columns()) {
      line += (first ? "" : ",") + quoted(column.raw(record));
      first = false;
    }
    text += line + "\n";
  }
  return text;
}

ASSAY_WRITER(csv){
    .name = "csv",
    .summary = "one line a case, raw numbers in SI units",
    .write = write_csv,
};

}  // namespace
}  // namespace assay
