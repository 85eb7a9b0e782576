#include "harness/cli/selftest_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <vector>

#include "harness/core/text.h"
#include "harness/engine/allclose.h"
#include "reports/writer.h"

namespace assay {
namespace {

using Row = std::vector<std::string>;

// A Markdown table whose columns are as wide as they must be; the first is text, the others
// numbers.
std::string table(const std::vector<Row>& rows) {
  std::vector<std::size_t> widths(rows.front().size());
  for (const Row& row : rows)
    for (std::size_t i = 0; i < row.size(); ++i)
      widths[i] = std::max(widths[i], display_width(row[i]));
  std::string text;
  for (std::size_t r = 0; r < rows.size(); ++r) {
    for (std::size_t i = 0; i < widths.size(); ++i) {
      const std::string pad(widths[i] - display_width(rows[r][i]), ' ');
      text += "| " + (i == 0 ? rows[r][i] + pad : pad + rows[r][i]) + " ";
    }
    text += "|\n";
    if (r > 0) continue;
    for (std::size_t i = 0; i < widths.size(); ++i)
      text +=
          "|" + (i == 0 ? std::string(widths[i] + 2, '-') : std::string(widths[i] + 1, '-') + ":");
    text += "|\n";
  }
  return text;
}

std::string matrix(const SelftestResult& result) {
  std::vector<std::string> kinds;
  for (const LiarResult& liar : result.liars)
    for (const auto& [kind, runs] : liar.rejected_by)
      if (std::find(kinds.begin(), kinds.end(), kind) == kinds.end()) kinds.push_back(kind);
  std::sort(kinds.begin(), kinds.end());
  std::vector<Row> rows = {{"bug", "runs", "ms a run"}};
  rows[0].insert(rows[0].end(), kinds.begin(), kinds.end());
  for (const LiarResult& liar : result.liars) {
    Row row = {liar.liar->variant.name, fmt::format("{}", liar.runs),
               fmt::format("{:.0f}", 1e3 * liar.seconds / std::max(liar.runs, 1))};
    for (const std::string& kind : kinds) {
      const auto found = liar.rejected_by.find(kind);
      row.push_back(found == liar.rejected_by.end() ? "" : fmt::format("{}", found->second));
    }
    rows.push_back(std::move(row));
  }
  return table(rows);
}

std::string tolerances(const SelftestResult& result) {
  std::string text;
  for (const NamedTolerance& tolerance : usual_tolerances()) {
    int tried = 0, through = 0;
    for (const LiarResult& liar : result.liars) {
      const auto found = liar.close.find(tolerance.name);
      if (found == liar.close.end()) continue;
      ++tried;
      if (found->second) ++through;
    }
    text += fmt::format("- {} ({}): lets {} of {} bugs through\n", tolerance.name, tolerance.source,
                        through, tried);
  }
  return text;
}

std::string utilisation(const SelftestResult& result) {
  constexpr std::array kEdges = {0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7};
  std::vector<Row> rows = {{"family", "checks", "0", "to 0.1", "to 0.2", "to 0.3", "to 0.4",
                            "to 0.5", "to 0.6", "to 0.7", "above", "largest"}};
  for (const auto& [family, values] : result.used) {
    std::array<int, kEdges.size() + 1> counts{};
    double most = 0;
    for (const double value : values) {
      const auto edge = std::lower_bound(kEdges.begin(), kEdges.end(), value);
      ++counts[static_cast<std::size_t>(edge - kEdges.begin())];
      most = std::max(most, value);
    }
    Row row = {family, fmt::format("{}", values.size())};
    for (const int count : counts) row.push_back(count > 0 ? fmt::format("{}", count) : "");
    row.push_back(fmt::format("{:.3f}", most));
    rows.push_back(std::move(row));
  }
  return table(rows);
}

std::string elements(const SelftestResult& result) {
  std::vector<Row> rows = {{"output", "dtype", "elements"}};
  for (const auto& [output, count] : result.elements)
    rows.push_back({output.op + " " + output.output, std::string(name(output.dtype)),
                    fmt::format("{}", count)});
  rows.push_back({"all", "", fmt::format("{}", result.total_elements())});
  return table(rows);
}

}  // namespace

std::string selftest_report(const SelftestResult& result, const std::string& title) {
  int due = 0, rejected = 0;
  std::string wrong, blind;
  for (const LiarResult& liar : result.liars) {
    if (liar.due) ++due;
    if (liar.due && !liar.survived()) ++rejected;
    if (liar.survived())
      wrong += fmt::format("- {} survived {} of {} runs: {}\n", liar.liar->variant.name,
                           liar.runs - liar.rejected, liar.runs, liar.liar->bug);
    for (const auto& [kind, runs] : liar.missed)
      wrong += fmt::format("- {}: the check {} said nothing in {} of {} runs\n",
                           liar.liar->variant.name, kind, runs, liar.runs);
    if (!liar.due)
      blind += fmt::format(
          "- {}: {}{}\n", liar.liar->variant.name, liar.liar->bug,
          liar.rejected > 0 ? fmt::format(" (rejected in {} of {} runs)", liar.rejected, liar.runs)
                            : "");
  }
  for (const Record& record : result.accused)
    wrong += fmt::format("- correct, but {}: {} on `{}`: {}\n", name(record.status), record.variant,
                         record.problem, record.reason);

  std::string text = fmt::format("# {}\n\n", title);
  text += fmt::format(
      "{} of {} liars rejected in every run; {} runs of correct variants, {} accused; {:.3g} "
      "elements checked.\n\n",
      rejected, due, result.correct_runs, result.accused.size(),
      static_cast<double>(result.total_elements()));
  if (!wrong.empty()) text += "Not as it should be:\n\n" + wrong + "\n";
  text += "## Runs in which a check rejected a bug\n\n" + matrix(result) + "\n";
  const auto without = result.without_own_liar();
  text += without.empty()
              ? "Every check has a liar that it alone rejects.\n\n"
              : "Checks without a liar that they alone reject: " + join(without) + ".\n\n";
  if (!blind.empty()) text += "Not visible here, so not due:\n\n" + blind + "\n";
  text +=
      "## The usual tolerances\n\nOn gaussian inputs, weights absent, the bugs above whose process "
      "survives them:\n\n" +
      tolerances(result) + "\n";
  text +=
      "## Share of the bound that correct variants use\n\nThe largest of each check's "
      "elements:\n\n" +
      utilisation(result) + "\n";
  text += "## Elements judged\n\n" + elements(result);
  return text;
}

}  // namespace assay
