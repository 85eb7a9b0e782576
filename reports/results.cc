#include "reports/results.h"

#include <fmt/format.h>

#include <algorithm>

namespace assay {

void add(Results& results, Record record) {
  const auto [place, added] = results.place.try_emplace(
      record.id() + "\n" + record.problem + "\n" + record.device, results.records.size());
  if (added)
    results.records.push_back(std::move(record));
  else
    results.records[place->second] = std::move(record);
}

void Counts::add(const Record& record) {
  ++by_status[record.status];
  if (record.status == Status::unsupported) ++unsupported[record.reason];
}

bool Counts::good() const {
  return std::all_of(by_status.begin(), by_status.end(), [](const auto& entry) {
    return entry.second == 0 || entry.first == Status::passed || entry.first == Status::unsupported;
  });
}

std::string summary(const Counts& counts) {
  const auto count = [&](Status status) {
    const auto found = counts.by_status.find(status);
    return found == counts.by_status.end() ? 0 : found->second;
  };
  int all = 0;
  std::string text;
  for (const Status status : kAllStatuses) {
    const bool always =
        status == Status::passed || status == Status::failed || status == Status::unsupported;
    if (always || count(status) > 0) text += fmt::format(", {} {}", count(status), name(status));
    all += count(status);
  }
  text = fmt::format("{} case{}: {}", all, all == 1 ? "" : "s", text.substr(2));
  for (const auto& [reason, cases] : counts.unsupported)
    text += fmt::format("\n  unsupported × {}: {}", cases, reason);
  return text;
}

}  // namespace assay
