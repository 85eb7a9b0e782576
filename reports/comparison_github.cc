// A comparison as workflow commands: on GitHub Actions each becomes an annotation of the run. What
// a record says stays text and can't be a command of its own.
#include <fmt/format.h>

#include <string_view>

#include "reports/columns.h"
#include "reports/comparison.h"

namespace assay {
namespace {

// As the runner unescapes it: of data, and of the value of a property such as the title.
std::string escape(std::string_view text, bool is_property) {
  std::string result;
  for (const char c : text) {
    if (c == '%' || c == '\r' || c == '\n' || (is_property && (c == ':' || c == ',')))
      result += fmt::format("%{:02X}", static_cast<int>(c));
    else
      result += c;
  }
  return result;
}

std::string command(const char* level, const std::string& title, const std::string& message) {
  return fmt::format("::{} title={}::{}\n", level, escape(title, true), escape(message, false));
}

std::string write_github(const Comparison& comparison) {
  std::string text;
  for (const CaseChange& one : comparison.cases) {
    for (const TimeChange& time : one.times)
      if (time.change == Change::slower)
        text += command("error", fmt::format("{} is slower", one.bare_name()),
                        fmt::format("{}: {} {} -> {}, {} ({})\n{}", one.problem, time.cache,
                                    format_seconds(time.base), format_seconds(time.next),
                                    format_change(time.ratio), format_interval(time), one.repro));
    for (const NumericChange& change : one.numerics)
      text += command(change.regression ? "error" : "notice",
                      fmt::format("{}: {}", one.bare_name(), change.what),
                      fmt::format("{}: {}\n{}", one.problem, change.text, one.repro));
  }
  for (const std::string& title : comparison.only_in_base)
    text += command(comparison.missing_is_regression ? "error" : "warning", "case is missing",
                    fmt::format("only in {}: {}", comparison.base, title));
  return text + command("notice", "assay compare", summary(comparison));
}

ASSAY_COMPARISON_WRITER(github){
    .name = "github",
    .summary = "annotations of a GitHub Actions run",
    .write = write_github,
};

}  // namespace
}  // namespace assay
