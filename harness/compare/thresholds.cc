#include "harness/compare/thresholds.h"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <filesystem>
#include <fstream>
#include <limits>
#include <sstream>

#include "harness/core/error.h"
#include "harness/core/registry.h"

namespace assay {
namespace {

constexpr double kAny = std::numeric_limits<double>::infinity();

// Reads the keys of one table; what is left over at the end is a mistake.
class Section {
 public:
  Section(const toml::table& table, std::string path) : table_(table), path_(std::move(path)) {}

  void number(const char* key, double& value, double least, double most) {
    const toml::node* node = find(key);
    if (!node) return;
    const auto read = node->value<double>();
    if (!read || !(*read >= least && *read <= most))
      fail(*node, most == kAny
                      ? fmt::format("{} must be a number, at least {}", key, least)
                      : fmt::format("{} must be a number from {} to {}", key, least, most));
    value = *read;
  }
  void count(const char* key, int& value, int least, int most) {
    const toml::node* node = find(key);
    if (!node) return;
    const auto read = node->is_integer() ? node->value<std::int64_t>() : std::nullopt;
    if (!read || *read < least || *read > most)
      fail(*node, fmt::format("{} must be a whole number from {} to {}", key, least, most));
    value = static_cast<int>(*read);
  }
  void flag(const char* key, bool& value) {
    const toml::node* node = find(key);
    if (!node) return;
    if (!node->is_boolean()) fail(*node, fmt::format("{} must be true or false", key));
    value = *node->value<bool>();
  }
  std::string text(const char* key) {
    const toml::node* node = find(key);
    if (!node || !node->is_string() || node->value<std::string>()->empty())
      fail(node ? *node : table_, fmt::format("{} must be a text, and not empty", key));
    return *node->value<std::string>();
  }
  const toml::table* section(const char* key) {
    const toml::node* node = find(key);
    if (node && !node->is_table()) fail(*node, fmt::format("{} must be a table: [{}]", key, key));
    return node ? node->as_table() : nullptr;
  }
  const toml::array* sections(const char* key) {
    const toml::node* node = find(key);
    if (node && !node->is_array_of_tables())
      fail(*node, fmt::format("{} must be tables: [[{}]]", key, key));
    return node ? node->as_array() : nullptr;
  }
  void end() const {
    for (const auto& [key, node] : table_) {
      const std::string name(key.str());
      if (std::find(known_.begin(), known_.end(), name) == known_.end())
        fail(node, fmt::format("unknown key `{}`{}", name, suggestion(name, known_)));
    }
  }

 private:
  const toml::node* find(const char* key) {
    known_.emplace_back(key);
    return table_.get(key);
  }
  [[noreturn]] void fail(const toml::node& node, const std::string& what) const {
    throw UsageError(fmt::format("{}:{}: {}", path_, node.source().begin.line, what));
  }

  const toml::table& table_;
  std::string path_;
  std::vector<std::string> known_;
};

void read_time(Section& section, TimeThresholds& time) {
  section.number("effect", time.effect, 0, 10);
  section.number("same_within", time.same_within, 0, 10);
  section.number("run_to_run", time.run_to_run, 0, 10);
  section.number("run_to_run_seconds", time.run_to_run_seconds, 0, 1);
}

}  // namespace

const TimeThresholds& Thresholds::for_case(std::string_view id) const {
  const std::string_view bare = id.substr(id.find('/') + 1);
  for (auto entry = overrides.rbegin(); entry != overrides.rend(); ++entry)
    if (glob_match(entry->cases, id) || glob_match(entry->cases, bare)) return entry->time;
  return time;
}

Thresholds parse_thresholds(const std::string& text, const std::string& path) {
  toml::table table;
  try {
    table = toml::parse(text, path);
  } catch (const toml::parse_error& error) {
    throw UsageError(
        fmt::format("{}:{}: {}", path, error.source().begin.line, error.description()));
  }
  Thresholds result;
  Section all(table, path);
  if (const toml::table* found = all.section("findings")) {
    Section section(*found, path);
    section.number("false_discovery_rate", result.false_discovery_rate, 0, 0.5);
    section.number("confidence", result.confidence, 0.5, 0.999999);
    section.count("reruns", result.reruns, 1, 100);
    section.flag("missing_is_regression", result.missing_is_regression);
    section.end();
  }
  if (const toml::table* found = all.section("numerics")) {
    Section section(*found, path);
    section.number("utilisation_factor", result.utilisation_factor, 1, kAny);
    section.number("utilisation_floor", result.utilisation_floor, 0, 1);
    section.number("error_factor", result.error_factor, 1, kAny);
    section.end();
  }
  if (const toml::table* found = all.section("time")) {
    Section section(*found, path);
    section.number("clock_within", result.clock_within, 0, 1);
    read_time(section, result.time);
    if (const toml::array* entries = section.sections("for")) {
      result.overrides.clear();
      for (const toml::node& entry : *entries) {
        Section override(*entry.as_table(), path);
        Thresholds::For one{override.text("cases"), result.time};
        read_time(override, one.time);
        override.end();
        result.overrides.push_back(one);
      }
    }
    section.end();
  }
  all.end();
  return result;
}

Thresholds read_thresholds(const std::string& path) {
  std::ifstream file(path);
  if (!file || std::filesystem::is_directory(path)) throw UsageError("cannot read " + path);
  std::ostringstream text;
  text << file.rdbuf();
  return parse_thresholds(text.str(), path);
}

}  // namespace assay
