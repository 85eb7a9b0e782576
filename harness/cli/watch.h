// `run --watch`: the HTML report of a sweep, written again and again while the sweep goes on.
#pragma once

#include <chrono>
#include <string>

#include "harness/engine/sweep.h"
#include "reports/html.h"
#include "reports/results.h"

namespace assay {

class Watch {
 public:
  // Writes the page for the first time. Throws UsageError where it can't be written.
  Watch(std::string path, const Environment& environment, std::size_t cases);

  // Between two cases, when nothing is being timed. Writes at most every two seconds, and so seldom
  // that it takes at most a twentieth of the time. A page that can't be written any more is given
  // up, with a line on stderr; the sweep goes on.
  void begin_case(const Job& job);
  void end_case(Record record);

  // The page of the sweep that has come to its end.
  void finish();

 private:
  using Clock = std::chrono::steady_clock;
  void write(bool ongoing);
  void try_write(bool ongoing);

  std::string path_;
  Results results_;
  Ongoing ongoing_;
  Clock::time_point next_;
  bool given_up_ = false;
};

}  // namespace assay
