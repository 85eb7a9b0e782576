#include "reports/comparison.h"

#include <fmt/format.h>

#include <algorithm>

namespace assay {
namespace {

std::vector<ComparisonWriter>& store() {
  static auto& writers = *new std::vector<ComparisonWriter>;
  return writers;
}

}  // namespace

std::string_view name(Change change) {
  switch (change) {
    case Change::same:
      return "same";
    case Change::faster:
      return "faster";
    case Change::slower:
      return "slower";
    case Change::unclear:
      break;
  }
  return "unclear";
}

bool CaseChange::slower() const {
  return std::any_of(times.begin(), times.end(),
                     [](const TimeChange& time) { return time.change == Change::slower; });
}

bool CaseChange::numerics_regressed() const {
  return std::any_of(numerics.begin(), numerics.end(),
                     [](const NumericChange& change) { return change.regression; });
}

int Comparison::count(Change change) const {
  int count = 0;
  for (const CaseChange& one : cases)
    for (const TimeChange& time : one.times) count += time.change == change ? 1 : 0;
  return count;
}

int Comparison::regressions() const {
  const auto worse = std::count_if(cases.begin(), cases.end(),
                                   [](const CaseChange& one) { return one.regression(); });
  return static_cast<int>(worse) +
         (missing_is_regression ? static_cast<int>(only_in_base.size()) : 0);
}

std::string summary(const Comparison& comparison) {
  std::size_t times = 0;
  int worse = 0;
  for (const CaseChange& one : comparison.cases) {
    times += one.times.size();
    worse += one.numerics_regressed() ? 1 : 0;
  }
  std::string text = fmt::format(
      "{} case{} compared, {} time{}: {} same, {} faster, {} slower, {} unclear; "
      "numerics worse in {}",
      comparison.cases.size(), comparison.cases.size() == 1 ? "" : "s", times,
      times == 1 ? "" : "s", comparison.count(Change::same), comparison.count(Change::faster),
      comparison.count(Change::slower), comparison.count(Change::unclear), worse);
  if (!comparison.only_in_base.empty())
    text += fmt::format("; only in {}: {}", comparison.base, comparison.only_in_base.size());
  if (!comparison.only_in_next.empty())
    text += fmt::format("; only in {}: {}", comparison.next, comparison.only_in_next.size());
  return text;
}

std::string format_change(double ratio) {
  return ratio < 10 ? fmt::format("{:+.1f} %", (ratio - 1) * 100) : fmt::format("×{:.3g}", ratio);
}

std::string format_interval(const TimeChange& time) {
  return format_change(time.low) + " to " + format_change(time.high);
}

RegisterComparisonWriter::RegisterComparisonWriter(ComparisonWriter writer) {
  auto& all = store();
  const auto place = std::lower_bound(
      all.begin(), all.end(), writer,
      [](const ComparisonWriter& a, const ComparisonWriter& b) { return a.name < b.name; });
  all.insert(place, std::move(writer));
}

const std::vector<ComparisonWriter>& comparison_writers() { return store(); }

}  // namespace assay
