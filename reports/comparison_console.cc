// A comparison for terminals: what changed, in full; what did not, counted.
#include <fmt/format.h>

#include "reports/columns.h"
#include "reports/comparison.h"

namespace assay {
namespace {

std::string time_line(const TimeChange& time) {
  std::string text = fmt::format("    {:<7} {}: {} -> {}, {} ({})", name(time.change), time.cache,
                                 format_seconds(time.base), format_seconds(time.next),
                                 format_change(time.ratio), format_interval(time));
  if (!time.why.empty()) text += "; " + time.why;
  return text + "\n";
}

std::string write_console(const Comparison& comparison) {
  std::string text = fmt::format("{} -> {}; intervals of {:.0f} %\n", comparison.base,
                                 comparison.next, comparison.confidence * 100);
  for (const std::string& note : comparison.notes) text += "note: " + note + "\n";
  for (const std::string& line : comparison.differences) text += "environment: " + line + "\n";
  std::string problem;
  for (const CaseChange& one : comparison.cases) {
    std::string lines;
    for (const TimeChange& time : one.times)
      if (time.change != Change::same) lines += time_line(time);
    for (const NumericChange& change : one.numerics)
      lines += fmt::format("    {} {}: {}\n", change.regression ? "worse  " : "other  ",
                           change.what, change.text);
    if (lines.empty()) continue;
    if (one.problem != problem) text += one.problem + "\n";
    problem = one.problem;
    text += fmt::format("  {}\n{}", one.bare_name(), lines);
    if (one.regression()) text += "    " + one.repro + "\n";
  }
  for (const std::string& title : comparison.only_in_base)
    text += fmt::format("only in {}: {}\n", comparison.base, title);
  for (const std::string& title : comparison.only_in_next)
    text += fmt::format("only in {}: {}\n", comparison.next, title);
  if (!comparison.means.empty()) text += "\ngeometric means\n";
  for (const GeometricMean& mean : comparison.means)
    text += fmt::format("  {:<32} {:<6} {:>8} ({} case{})\n",
                        mean.op.empty() ? "all" : mean.op + "/" + mean.variant, mean.cache,
                        format_change(mean.ratio), mean.cases, mean.cases == 1 ? "" : "s");
  return text + "\n" + summary(comparison) + "\n";
}

ASSAY_COMPARISON_WRITER(console){
    .name = "console",
    .summary = "what changed, for a terminal",
    .write = write_console,
};

}  // namespace
}  // namespace assay
