#include "reports/writer.h"

#include <algorithm>

namespace assay {
namespace {

std::vector<Writer>& store() {
  static auto& writers = *new std::vector<Writer>;
  return writers;
}

}  // namespace

RegisterWriter::RegisterWriter(Writer writer) {
  auto& all = store();
  const auto place =
      std::lower_bound(all.begin(), all.end(), writer,
                       [](const Writer& a, const Writer& b) { return a.name < b.name; });
  all.insert(place, std::move(writer));
}

const std::vector<Writer>& writers() { return store(); }

std::vector<std::string> devices_in(const Results& results) {
  std::vector<std::string> devices;
  for (const Record& record : results.records)
    if (std::find(devices.begin(), devices.end(), record.device) == devices.end())
      devices.push_back(record.device);
  return devices;
}

std::size_t display_width(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

}  // namespace assay
