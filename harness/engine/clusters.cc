#include "harness/engine/clusters.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "harness/core/text.h"

namespace assay {
namespace {

constexpr std::int64_t kTiles[] = {256, 128, 64, 32, 16, 8, 4, 2};

// What the coordinates of the wrong elements along one axis of `size` have in common, or an empty
// text.
std::string along(const std::string& axis, std::int64_t size,
                  const std::set<std::int64_t>& values) {
  const std::int64_t first = *values.begin(), last = *values.rbegin();
  const auto count = static_cast<std::int64_t>(values.size());
  if (size == 1 || count == size) return "";
  if (count == 1) {
    return fmt::format("all at {} = {}{}", axis, first,
                       first == 0          ? ", the first"
                       : first == size - 1 ? ", the last"
                                           : "");
  }
  const bool contiguous = last - first + 1 == count;
  if (contiguous && last == size - 1) {
    for (const std::int64_t tile : kTiles) {
      if (first % tile == 0 && size - first < tile)
        return fmt::format("{} from {} on, the tail beyond a multiple of {}", axis, first, tile);
    }
    return fmt::format("{} from {} on", axis, first);
  }
  if (contiguous && first == 0) return fmt::format("{} up to {}", axis, last);
  if (contiguous) {
    for (const std::int64_t tile : {2, 4, 8, 16, 32, 64, 128, 256}) {
      if (first / tile == last / tile && count > tile / 2)
        return fmt::format("{} from {} to {}, in the tile {} of {}", axis, first, last,
                           first / tile, tile);
    }
    return fmt::format("{} from {} to {}", axis, first, last);
  }
  for (const std::int64_t tile : kTiles) {
    if (size < 2 * tile) continue;
    const std::int64_t residue = first % tile;
    if (std::all_of(values.begin(), values.end(),
                    [&](std::int64_t value) { return value % tile == residue; }))
      return fmt::format("{} = {} modulo {}", axis, residue, tile);
  }
  if (2 * count > size) return "";
  return fmt::format("{} of {} values of {}, {} to {}", count, size, axis, first, last);
}

}  // namespace

std::string describe_clusters(const TensorSpec& spec, const std::vector<std::string>& axes,
                              const std::vector<std::int64_t>& wrong) {
  if (wrong.empty()) return "";
  std::vector<std::set<std::int64_t>> values(axes.size());
  for (const std::int64_t index : wrong) {
    const std::vector<std::int64_t> at = coordinates(spec, index);
    for (std::size_t axis = 0; axis < at.size(); ++axis) values[axis].insert(at[axis]);
  }
  std::vector<std::string> clauses;
  for (std::size_t axis = 0; axis < axes.size(); ++axis) {
    std::string clause = along(axes[axis], spec.shape[axis], values[axis]);
    if (!clause.empty()) clauses.push_back(std::move(clause));
  }
  return clauses.empty() ? "spread over the whole output" : join(clauses, "; ");
}

}  // namespace assay
