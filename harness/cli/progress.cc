#include "harness/cli/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "reports/columns.h"

namespace assay {
namespace {

std::size_t terminal_width() {
  winsize size{};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

bool is_good(Status status) { return status == Status::passed || status == Status::unsupported; }

}  // namespace

std::string format_duration(double seconds) {
  const auto whole = std::llround(seconds);
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{} min {} s", whole / 60, whole % 60);
  return fmt::format("{} h {} min", whole / 3600, whole % 3600 / 60);
}

Progress::Progress(std::size_t cases, bool quiet) : cases_(cases), quiet_(quiet) {
  const char* term = std::getenv("TERM");
  terminal_ = isatty(STDERR_FILENO) == 1 && !(term && std::string_view(term) == "dumb");
}

Progress::~Progress() { clear_line(); }

void Progress::clear_line() {
  if (terminal_) fmt::print(stderr, "\r\033[K");
}

void Progress::begin_case(const Job& job, std::size_t index) {
  if (!terminal_) return;
  const double spent =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  const std::string left = done_ == 0 ? ""
                                      : " " +
                                            format_duration(spent / static_cast<double>(done_) *
                                                            static_cast<double>(cases_ - done_)) +
                                            " left";
  const std::string bad = not_good_ > 0 ? fmt::format(", {} not passed", not_good_) : "";
  std::string line = fmt::format("[{}/{}{}{}] {} {}", index + 1, cases_, bad, left,
                                 job.variant->bare_name(), str(job.problem));
  line.resize(std::min(line.size(), terminal_width() - 1));
  fmt::print(stderr, "\r\033[K{}", line);
  std::fflush(stderr);
}

void Progress::end_case(const Record& record, std::size_t index) {
  ++done_;
  const bool good = is_good(record.status);
  if (!good) ++not_good_;
  clear_line();
  if ((terminal_ || quiet_) && good) return;
  std::string time;
  if (!record.measurements.empty())
    time = fmt::format(" {} {}", format_seconds(record.measurements[0].median),
                       format_rate(record.measurements[0].bytes_per_second()));
  fmt::print(stderr, "[{}/{}] {} {}@{} {}{}{}{}\n", index + 1, cases_, name(record.status),
             record.variant, record.backend, record.problem, time,
             record.reason.empty() ? "" : ": ", record.reason);
}

void Progress::note(const std::string& text) {
  clear_line();
  fmt::print(stderr, "assay: {}\n", text);
}

}  // namespace assay
