// Progress of a sweep on stderr: a table that is redrawn on a terminal, a plain line per case
// elsewhere. What did not pass stays visible in both.
#pragma once

#include <chrono>
#include <string>

#include "harness/cli/live_table.h"
#include "harness/engine/sweep.h"

namespace assay {

class Progress {
 public:
  // quiet: only cases that are not good get a line.
  explicit Progress(std::size_t cases, bool quiet = false);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  void begin_case(const Job& job, std::size_t index);
  void end_case(const Record& record, std::size_t index);
  void note(const std::string& text);  // a line that stays

 private:
  void draw();
  void clear();

  std::size_t cases_;
  bool quiet_;
  bool terminal_;
  LiveTable table_;
  std::size_t drawn_ = 0;  // lines that stand on the terminal
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace assay
