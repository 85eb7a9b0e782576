#include "harness/core/configuration.h"

#include <charconv>

#include "harness/core/error.h"

namespace assay {

std::optional<std::int64_t> Configuration::operator[](std::string_view name) const {
  for (const auto& [known, value] : settings_)
    if (known == name) return value;
  return std::nullopt;
}

std::string str(const Configuration& configuration) {
  std::string text;
  for (const auto& [name, value] : configuration.settings())
    text += (text.empty() ? "" : " ") + name + "=" + std::to_string(value);
  return text;
}

Configuration parse_configuration(std::string_view text) {
  Configuration result;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find(' ', begin), text.size());
    const std::string_view word = text.substr(begin, end - begin);
    begin = end + 1;
    if (word.empty()) continue;
    const std::size_t equals = std::min(word.find('='), word.size());
    const std::string_view digits = word.substr(std::min(equals + 1, word.size()));
    std::int64_t value = 0;
    const auto [stop, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (equals == 0 || digits.empty() || error != std::errc() ||
        stop != digits.data() + digits.size())
      throw UsageError("configuration `" + std::string(text) + "`: `" + std::string(word) +
                       "` is no NAME=NUMBER");
    if (result[word.substr(0, equals)])
      throw UsageError("configuration `" + std::string(text) + "` names `" +
                       std::string(word.substr(0, equals)) + "` twice");
    result.add(std::string(word.substr(0, equals)), value);
  }
  return result;
}

}  // namespace assay
