#include "reports/choices.h"

#include <string>
#include <string_view>
#include <unordered_map>

namespace assay {
namespace {

constexpr std::string_view kOwnRepro = "assay run ";  // peers' are other programs'

std::string place_of(const Record& record) {
  return record.problem + "\n" + record.backend + "\n" + record.device;
}

}  // namespace

const Measurement* cold_time(const Record& record) {
  for (const Measurement& measurement : record.measurements)
    if (measurement.cache == "cold" && measurement.median > 0) return &measurement;
  return nullptr;
}

bool is_choosable(const Record& record) {
  if (record.status != Status::passed || !cold_time(record) || !record.choice.empty() ||
      record.repeatability == "order_dependent" || !record.repro.starts_with(kOwnRepro))
    return false;
  for (const char* rounded : {" probabilities", " weights", " partials"})
    if (record.numerics.find(rounded) != std::string::npos) return false;
  return true;
}

void weigh_choices(std::vector<Record>& records) {
  std::unordered_map<std::string, const Record*> fastest;
  for (const Record& record : records) {
    if (!is_choosable(record)) continue;
    const Record*& best = fastest[place_of(record)];
    if (!best || cold_time(record)->median < cold_time(*best)->median) best = &record;
  }
  for (Record& record : records) {
    record.choice_cost.reset();
    const auto found = fastest.find(place_of(record));
    if (record.choice.empty() || !cold_time(record) || found == fastest.end()) continue;
    const Record& best = *found->second;
    record.choice_cost =
        ChoiceCost{cold_time(record)->median / cold_time(best)->median - 1, best.variant};
  }
}

}  // namespace assay
