// Markdown: a table per device, then what did not pass, then the environments.
#include "reports/markdown.h"

#include <fmt/format.h>

#include "reports/writer.h"

namespace assay {

std::string markdown_cell(std::string_view text) {
  std::string safe;
  for (const char c : text) {
    if (c == '|')
      safe += "\\|";
    else
      safe += c == '\n' || c == '\r' ? ' ' : c;
  }
  return safe;
}

std::string markdown_row(const std::vector<std::string>& cells) {
  std::string line = "|";
  for (const std::string& cell : cells) line += " " + markdown_cell(cell) + " |";
  return line + "\n";
}

std::string markdown_cases(const std::vector<const Record*>& records,
                           const std::vector<const Column*>& shown) {
  std::vector<std::string> headings;
  std::vector<std::string> rule;
  for (const Column* column : shown) {
    headings.push_back(column->heading);
    rule.emplace_back(column->numeric ? "---:" : "---");
  }
  std::string text = markdown_row(headings) + markdown_row(rule);
  for (const Record* record : records) {
    std::vector<std::string> cells;
    for (const Column* column : shown) cells.push_back(column->text(*record));
    text += markdown_row(cells);
  }
  return text;
}

std::string markdown_facts(const Environment& environment) {
  std::string text = markdown_row({"fact", "value"}) + markdown_row({"---", "---"});
  for (const auto& [key, value] : environment.facts) text += markdown_row({key, value});
  return text;
}

namespace {

std::string write_markdown(const Results& results) {
  Counts counts;
  for (const Record& record : results.records) counts.add(record);
  std::string text = "# Results\n\n" + summary(counts) + "\n";
  for (const std::string& note : results.notes) text += "\nNote: " + note + "\n";
  const std::vector<const Column*> shown = columns_shown(results.records);
  for (const std::string& device : devices_in(results)) {
    std::vector<const Record*> here;
    for (const Record& record : results.records)
      if (record.device == device) here.push_back(&record);
    text += fmt::format("\n## {}\n\n{}", device, markdown_cases(here, shown));
  }
  bool heading = false;
  for (const Record& record : results.records) {
    if (record.status == Status::passed) continue;
    if (!heading) text += "\n## Not passed\n\n";
    heading = true;
    text += fmt::format("- `{}` on `{}`: **{}**, {}\n  `{}`\n", record.id(), record.problem,
                        name(record.status), markdown_cell(record.reason), record.repro);
  }
  if (!results.environments.empty()) text += "\n## Environment\n";
  for (const Environment& environment : results.environments)
    text += fmt::format("\n`{}`\n\n{}", environment.id(), markdown_facts(environment));
  return text;
}

ASSAY_WRITER(markdown){
    .name = "markdown",
    .summary = "tables for documents",
    .write = write_markdown,
};

}  // namespace
}  // namespace assay
