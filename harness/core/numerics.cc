#include "harness/core/numerics.h"

#include <charconv>
#include <string>
#include <vector>

#include "harness/core/error.h"

namespace assay {
namespace {

DType to_dtype(const std::string& key, const std::string& value) {
  if (const auto dtype = parse_dtype(value)) return *dtype;
  throw UsageError("numerics: " + key + "=" + value + ": unknown dtype `" + value + "`" +
                   suggestion(value, dtype_names()));
}

double to_number(const std::string& key, const std::string& value, double least) {
  double number = 0;
  const char* const end = value.data() + value.size();
  const auto [stop, error] = std::from_chars(value.data(), end, number);
  if (error != std::errc() || stop != end || !(number >= least) || number > 1e12)
    throw UsageError("numerics: " + key + "=" + value + ": want a number of at least " +
                     str(OptionValue(least)));
  return number;
}

bool to_flag(const std::string& key, const std::string& value) {
  if (value != "0" && value != "1")
    throw UsageError("numerics: " + key + "=" + value + ": want 0 or 1");
  return value == "1";
}

using Setter = void (*)(Numerics&, const std::string& key, const std::string& value);
struct Key {
  const char* name;
  Setter set;
};

constexpr Key kKeys[] = {
    {"accumulate", [](Numerics& n, const std::string& k,
                      const std::string& v) { n.accumulate = to_dtype(k, v); }},
    {"height", [](Numerics& n, const std::string& k,
                  const std::string& v) { n.summation_height = to_number(k, v, 1); }},
    {"batch_height", [](Numerics& n, const std::string& k,
                        const std::string& v) { n.batch_height = to_number(k, v, 1); }},
    {"rescales", [](Numerics& n, const std::string& k,
                    const std::string& v) { n.rescales = to_number(k, v, 0); }},
    {"probabilities", [](Numerics& n, const std::string& k,
                         const std::string& v) { n.probabilities = to_dtype(k, v); }},
    {"weights",
     [](Numerics& n, const std::string& k, const std::string& v) { n.weights = to_dtype(k, v); }},
    {"partials",
     [](Numerics& n, const std::string& k, const std::string& v) { n.partials = to_dtype(k, v); }},
    {"truncates_mix", [](Numerics& n, const std::string& k,
                         const std::string& v) { n.truncates_mix = to_flag(k, v); }},
};

// A field that is added to Numerics stops this from compiling: it needs a row above.
[[maybe_unused]] void every_field_has_a_key(const Numerics& numerics) {
  [[maybe_unused]] const auto& [accumulate, height, batch_height, rescales, probabilities, weights,
                                partials, truncates_mix] = numerics;
}

}  // namespace

Numerics parse_numerics(std::string_view text, const Numerics& defaults) {
  Numerics numerics = defaults;
  while (!text.empty()) {
    const std::size_t comma = std::min(text.find(','), text.size());
    const std::string item(text.substr(0, comma));
    text.remove_prefix(std::min(comma + 1, text.size()));
    const std::size_t equals = item.find('=');
    if (equals == std::string::npos) throw UsageError("numerics: `" + item + "` is no key=value");
    const std::string key = item.substr(0, equals);
    std::vector<std::string> names;
    const Key* found = nullptr;
    for (const Key& candidate : kKeys) {
      names.emplace_back(candidate.name);
      if (candidate.name == key) found = &candidate;
    }
    if (!found) throw UsageError("numerics: unknown key `" + key + "`" + suggestion(key, names));
    found->set(numerics, key, item.substr(equals + 1));
  }
  return numerics;
}

}  // namespace assay
