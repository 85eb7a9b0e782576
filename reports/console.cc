// A table for terminals: a block per problem, its variants under it, and what went wrong with its
// repro line.
#include <fmt/format.h>

#include <algorithm>

#include "reports/columns.h"
#include "reports/writer.h"

namespace assay {
namespace {

std::string padded(const std::string& text, std::size_t width, bool right) {
  const std::string fill(width - std::min(width, display_width(text)), ' ');
  return right ? fill + text : text + fill;
}

std::string write_console(const Results& results) {
  std::vector<const Column*> shown;
  for (const Column* column : columns_shown(results.records))
    if (column->key != "problem") shown.push_back(column);
  std::vector<std::size_t> widths;
  for (const Column* column : shown) {
    std::size_t width = display_width(column->heading);
    for (const Record& record : results.records)
      width = std::max(width, display_width(column->text(record)));
    widths.push_back(width);
  }
  const auto row = [&](auto text) {
    std::string line;
    for (std::size_t i = 0; i < shown.size(); ++i)
      line += "  " + padded(text(*shown[i]), widths[i], shown[i]->numeric);
    return line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  };

  std::string text;
  for (const std::string& note : results.notes) text += "note: " + note + "\n";
  for (const std::string& device : devices_in(results)) {
    text += fmt::format("{}{}\n", text.empty() ? "" : "\n", device);
    text += row([](const Column& column) { return column.heading; });
    std::string problem;
    for (const Record& record : results.records) {
      if (record.device != device) continue;
      if (record.problem != problem) text += record.problem + "\n";
      problem = record.problem;
      text += row([&](const Column& column) { return column.text(record); });
      if (record.status == Status::passed) continue;
      text += fmt::format("    {}\n", record.reason);
      if (record.status != Status::unsupported) text += fmt::format("    {}\n", record.repro);
    }
  }
  Counts counts;
  for (const Record& record : results.records) counts.add(record);
  return text + "\n" + summary(counts) + "\n";
}

ASSAY_WRITER(console){
    .name = "console",
    .summary = "table for a terminal",
    .write = write_console,
};

}  // namespace
}  // namespace assay
