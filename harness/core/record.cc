#include "harness/core/record.h"

#include <cstdio>

#include "harness/core/text.h"

namespace assay {

std::string_view name(Status status) {
  switch (status) {
    case Status::passed:
      return "passed";
    case Status::failed:
      return "failed";
    case Status::mistrusted:
      return "mistrusted";
    case Status::unsupported:
      return "unsupported";
    case Status::timeout:
      return "timeout";
    case Status::crashed:
      return "crashed";
    case Status::error:
      break;
  }
  return "error";
}

std::optional<Status> parse_status(std::string_view text) {
  for (const Status status : kAllStatuses)
    if (name(status) == text) return status;
  return std::nullopt;
}

std::string Environment::id() const {
  std::uint64_t hash = hash_of("");
  const auto mix = [&](std::string_view text) {
    hash = hash_of("\xff", hash_of(text, hash));  // no fact can hold this byte: it ends each text
  };
  mix(std::to_string(schema));
  for (const auto& [key, value] : facts) {
    mix(key);
    mix(value);
  }
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(hash));
  return text;
}

}  // namespace assay
