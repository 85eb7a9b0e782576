// Markdown: a table per device, then what did not pass, then the environments.
#include <fmt/format.h>

#include "reports/columns.h"
#include "reports/writer.h"

namespace assay {
namespace {

// Text that stays one cell: a bar or a line break would end it.
std::string cell(const std::string& text) {
  std::string safe;
  for (const char c : text) {
    if (c == '|')
      safe += "\\|";
    else
      safe += c == '\n' || c == '\r' ? ' ' : c;
  }
  return safe;
}

std::string write_markdown(const Results& results) {
  Counts counts;
  for (const Record& record : results.records) counts.add(record);
  std::string text = "# Results\n\n" + summary(counts) + "\n";
  for (const std::string& note : results.notes) text += "\nNote: " + note + "\n";
  const std::vector<const Column*> shown = columns_shown(results.records);
  for (const std::string& device : devices_in(results)) {
    text += fmt::format("\n## {}\n\n|", device);
    std::string rule = "|";
    for (const Column* column : shown) {
      text += fmt::format(" {} |", column->heading);
      rule += column->numeric ? " ---: |" : " --- |";
    }
    text += "\n" + rule + "\n";
    for (const Record& record : results.records) {
      if (record.device != device) continue;
      text += "|";
      for (const Column* column : shown) text += fmt::format(" {} |", cell(column->text(record)));
      text += "\n";
    }
  }
  bool heading = false;
  for (const Record& record : results.records) {
    if (record.status == Status::passed) continue;
    if (!heading) text += "\n## Not passed\n\n";
    heading = true;
    text += fmt::format("- `{}` on `{}`: **{}**, {}\n  `{}`\n", record.id(), record.problem,
                        name(record.status), cell(record.reason), record.repro);
  }
  if (!results.environments.empty()) text += "\n## Environment\n";
  for (const Environment& environment : results.environments) {
    text += fmt::format("\n`{}`\n\n| fact | value |\n| --- | --- |\n", environment.id());
    for (const auto& [key, value] : environment.facts)
      text += fmt::format("| {} | {} |\n", cell(key), cell(value));
  }
  return text;
}

ASSAY_WRITER(markdown){
    .name = "markdown",
    .summary = "tables for documents",
    .write = write_markdown,
};

}  // namespace
}  // namespace assay
