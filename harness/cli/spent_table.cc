#include "harness/cli/spent_table.h"

#include <fmt/format.h>

#include <algorithm>

#include "harness/core/spending.h"

namespace assay {
namespace {

bool is_work(const std::string& what) {
  for (const Expense expense : {Expense::reference, Expense::inputs, Expense::kernels,
                                Expense::timing, Expense::counters, Expense::limits})
    if (what == name(expense)) return true;
  return false;
}

}  // namespace

void SpentTable::add(const Record& record) {
  for (const auto& [what, seconds] : record.spent) {
    const auto found =
        std::find_if(seconds_.begin(), seconds_.end(),
                     [&what = what](const auto& entry) { return entry.first == what; });
    if (found == seconds_.end())
      seconds_.emplace_back(what, seconds);
    else
      found->second += seconds;
  }
}

std::string SpentTable::text(double wall) const {
  std::vector<std::pair<std::string, double>> shares;
  double rest = 100, work = 0;
  for (const auto& [what, seconds] : seconds_) {
    if (what == name(Expense::rest)) continue;
    const double share = wall > 0 ? 100 * seconds / wall : 0;
    rest -= share;
    if (is_work(what)) work += share;
    shares.emplace_back(what, share);
  }
  std::stable_sort(shares.begin(), shares.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  shares.emplace_back(name(Expense::rest), std::max(0.0, rest));
  std::string line = "wall time:";
  for (const auto& [what, share] : shares)
    line += fmt::format("{} {} {:.1f} %", line.back() == ':' ? "" : ",", what, share);
  return line + fmt::format("; Assay itself {:.1f} %", std::max(0.0, 100 - work));
}

}  // namespace assay
