// How fast a processor ran, from readings of its cycle counters and of a clock before and after.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace assay {

struct ClockStamp {
  std::uint64_t cycles = 0;
  std::uint64_t nanoseconds = 0;  // 0: this unit was not read
};

// Hz around sample i, which lies between the readings i and i + 1 of all `units`; reading r of unit
// u is stamps[r * units + u]. The window widens over the neighbours to at least
// `least_nanoseconds`, where there are any, since the clock ticks coarsely. The median over the
// units; 0 where none was read twice.
inline double clock_around(const std::vector<ClockStamp>& stamps, std::size_t units, std::size_t i,
                           std::uint64_t least_nanoseconds) {
  const std::size_t readings = stamps.size() / units;
  const auto unit_clock = [&](std::size_t unit) {
    std::size_t first = i, last = i + 1;
    const auto at = [&](std::size_t reading) { return stamps[reading * units + unit]; };
    while (at(last).nanoseconds - at(first).nanoseconds < least_nanoseconds &&
           (first > 0 || last + 1 < readings)) {
      if (first > 0) --first;
      if (last + 1 < readings) ++last;
    }
    const ClockStamp from = at(first), to = at(last);
    if (from.nanoseconds == 0 || to.nanoseconds <= from.nanoseconds) return 0.0;
    return static_cast<double>(to.cycles - from.cycles) /
           static_cast<double>(to.nanoseconds - from.nanoseconds) * 1e9;
  };
  std::vector<double> clocks;
  for (std::size_t unit = 0; unit < units; ++unit)
    if (const double clock = unit_clock(unit); clock > 0) clocks.push_back(clock);
  if (clocks.empty()) return 0;
  const auto middle = clocks.begin() + static_cast<std::ptrdiff_t>(clocks.size() / 2);
  std::nth_element(clocks.begin(), middle, clocks.end());
  return *middle;
}

}  // namespace assay
