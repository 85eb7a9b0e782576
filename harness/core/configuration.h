// A Configuration is how a variant is asked to cut a problem where that is open: whole numbers by
// name, "elements=16 rows=3". Empty: the variant's own choice.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace assay {

class Configuration {
 public:
  using Setting = std::pair<std::string, std::int64_t>;

  Configuration() = default;
  Configuration(std::initializer_list<Setting> settings) : settings_(settings) {}
  void add(std::string name, std::int64_t value) { settings_.emplace_back(std::move(name), value); }

  bool empty() const { return settings_.empty(); }
  const std::vector<Setting>& settings() const { return settings_; }
  // The value of that name; nothing: it is the variant's to choose.
  std::optional<std::int64_t> operator[](std::string_view name) const;

  bool operator==(const Configuration&) const = default;

 private:
  std::vector<Setting> settings_;
};

std::string str(const Configuration& configuration);

// What str gives. Throws UsageError.
Configuration parse_configuration(std::string_view text);

}  // namespace assay
