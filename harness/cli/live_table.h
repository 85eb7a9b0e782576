// What a terminal shows of a sweep while it goes on: how far it is, the last cases, the running
// one. Text alone; Progress puts it on the screen.
#pragma once

#include <cstddef>
#include <deque>
#include <string>
#include <vector>

#include "harness/core/record.h"
#include "reports/results.h"

namespace assay {

// "3 s", "4 min 10 s", "2 h 5 min"
std::string format_duration(double seconds);

class LiveTable {
 public:
  explicit LiveTable(std::size_t cases) : cases_(cases) {}

  // `variant` and `problem` in words; `since` is a time of day. Elapsed time would have to be
  // redrawn while the case is being timed, and that would disturb it.
  void begin_case(const std::string& variant, const std::string& problem, const std::string& since);
  void end_case(const Record& record);

  // At most `height` lines of at most `width` columns, `seconds` after the sweep began.
  std::vector<std::string> lines(std::size_t width, std::size_t height, double seconds) const;

 private:
  using Row = std::vector<std::string>;

  std::size_t cases_;
  std::size_t done_ = 0;
  Counts counts_;
  std::deque<Row> recent_;
  Row running_;  // variant, since when, problem; empty: none
};

}  // namespace assay
