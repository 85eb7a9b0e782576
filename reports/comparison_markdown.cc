// A comparison as a summary for a pull request: verdict, regressions, then the rest folded away.
#include <fmt/format.h>

#include <string_view>

#include "reports/columns.h"
#include "reports/comparison.h"

namespace assay {
namespace {

// Text that a table's cell shows as it is: neither markup nor HTML, on one line.
std::string cell(std::string_view text) {
  std::string result;
  for (const char c : text) {
    if (std::string_view("\\`*_{}[]<>#|~&!").find(c) != std::string_view::npos) result += '\\';
    const bool control = static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
    result += control ? ' ' : c;
  }
  return result;
}

std::string code(std::string_view text) {
  std::string inner;
  for (const char c : text)
    if (c == '|')
      inner += "\\|";
    else
      inner += c == '`' ? '\'' : static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c;
  return "`" + inner + "`";
}

void add_times(std::string& text, const Comparison& comparison, Change change,
               const char* heading) {
  if (comparison.count(change) == 0) return;
  text += fmt::format(
      "\n### {}\n\n| case | variant | cache | before | after | change | {:.0f} % interval | |\n"
      "| --- | --- | --- | ---: | ---: | ---: | ---: | --- |\n",
      heading, comparison.confidence * 100);
  for (const CaseChange& one : comparison.cases)
    for (const TimeChange& time : one.times)
      if (time.change == change)
        text += fmt::format("| {} | {} | {} | {} | {} | {} | {} | {} |\n", code(one.problem),
                            code(one.bare_name()), cell(time.cache), format_seconds(time.base),
                            format_seconds(time.next), format_change(time.ratio),
                            format_interval(time), cell(time.why));
}

void add_numerics(std::string& text, const Comparison& comparison, bool regressions,
                  const char* heading) {
  std::string rows;
  for (const CaseChange& one : comparison.cases)
    for (const NumericChange& change : one.numerics)
      if (change.regression == regressions)
        rows += fmt::format("| {} | {} | {} | {} |\n", code(one.problem), code(one.bare_name()),
                            cell(change.what), cell(change.text));
  if (!rows.empty())
    text += fmt::format("\n### {}\n\n| case | variant | what | |\n| --- | --- | --- | --- |\n{}",
                        heading, rows);
}

std::string write_markdown(const Comparison& comparison) {
  const int regressions = comparison.regressions();
  std::string text = fmt::format(
      "## Assay: {}\n\n{} → {}. {}.\n",
      regressions == 0 ? "no regression"
                       : fmt::format("{} regression{}", regressions, regressions == 1 ? "" : "s"),
      cell(comparison.base), cell(comparison.next), cell(summary(comparison)));
  add_times(text, comparison, Change::slower, "Slower");
  add_numerics(text, comparison, true, "Numerics worse");
  add_times(text, comparison, Change::faster, "Faster");
  if (!comparison.means.empty()) {
    text +=
        "\n### Geometric means\n\n| op | variant | cache | change | cases |\n"
        "| --- | --- | --- | ---: | ---: |\n";
    for (const GeometricMean& mean : comparison.means)
      text += fmt::format("| {} | {} | {} | {} | {} |\n", mean.op.empty() ? "all" : code(mean.op),
                          mean.variant.empty() ? "" : code(mean.variant), cell(mean.cache),
                          format_change(mean.ratio), mean.cases);
  }
  std::string rest;
  add_times(rest, comparison, Change::unclear, "Unclear");
  add_numerics(rest, comparison, false, "Other differences in numerics");
  std::string lines;
  for (const std::string& title : comparison.only_in_base)
    lines += fmt::format("- only in {}: {}\n", cell(comparison.base), cell(title));
  for (const std::string& title : comparison.only_in_next)
    lines += fmt::format("- only in {}: {}\n", cell(comparison.next), cell(title));
  for (const std::string& line : comparison.differences)
    lines += fmt::format("- environment: {}\n", cell(line));
  for (const std::string& note : comparison.notes) lines += fmt::format("- {}\n", cell(note));
  if (!lines.empty()) rest += "\n" + lines;
  if (!rest.empty())
    text += fmt::format("\n<details><summary>Everything else</summary>\n{}\n</details>\n", rest);
  return text;
}

ASSAY_COMPARISON_WRITER(markdown){
    .name = "markdown",
    .summary = "summary for a pull request",
    .write = write_markdown,
};

}  // namespace
}  // namespace assay
