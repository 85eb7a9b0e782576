// Progress of a sweep on stderr: one line that is rewritten on a terminal, a plain line per case
// elsewhere. What did not pass stays visible in both.
#pragma once

#include <chrono>
#include <string>

#include "harness/engine/sweep.h"

namespace assay {

// "3 s", "4 min 10 s", "2 h 5 min"
std::string format_duration(double seconds);

class Progress {
 public:
  // quiet: only cases that are not good get a line.
  explicit Progress(std::size_t cases, bool quiet = false);
  ~Progress();
  void begin_case(const Job& job, std::size_t index);
  void end_case(const Record& record, std::size_t index);
  void note(const std::string& text);  // a line that stays

 private:
  void clear_line();

  std::size_t cases_;
  bool quiet_;
  std::size_t done_ = 0;
  int not_good_ = 0;
  bool terminal_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace assay
