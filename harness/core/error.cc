#include "harness/core/error.h"

#include <algorithm>
#include <numeric>

#include "harness/core/text.h"

namespace assay {
namespace {

// Levenshtein distance.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t substitute = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substitute});
    }
  }
  return row.back();
}

}  // namespace

std::string suggestion(std::string_view word, const std::vector<std::string>& names) {
  const std::string* nearest = nullptr;
  std::size_t least = std::max<std::size_t>(2, word.size() / 3) + 1;
  for (const std::string& name : names) {
    const bool prefix = word.size() >= 2 && (name.starts_with(word) || word.starts_with(name));
    const std::size_t distance = prefix ? 1 : edit_distance(lower(std::string(word)), lower(name));
    // At most a third of the letters may differ, or two in a short word; never all of them.
    if (distance < least && distance < std::max(word.size(), name.size())) {
      least = distance;
      nearest = &name;
    }
  }
  if (nearest) return ", did you mean `" + *nearest + "`?";
  if (names.empty()) return ", there is none";
  return ", one of: " + join(names);
}

}  // namespace assay
