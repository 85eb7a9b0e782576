#include "harness/cli/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string_view>

#include "reports/columns.h"

namespace assay {
namespace {

constexpr std::size_t kMostLines = 12;

winsize terminal_size() {
  winsize size{};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0) size = {};
  if (size.ws_col == 0) size.ws_col = 80;
  if (size.ws_row == 0) size.ws_row = 24;
  return size;
}

bool is_good(Status status) { return status == Status::passed || status == Status::unsupported; }

std::string time_of_day() {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  char text[16];
  std::strftime(text, sizeof text, "%H:%M:%S", &local);
  return text;
}

}  // namespace

Progress::Progress(std::size_t cases, bool quiet) : cases_(cases), quiet_(quiet), table_(cases) {
  const char* term = std::getenv("TERM");
  terminal_ = isatty(STDERR_FILENO) == 1 && !(term && std::string_view(term) == "dumb");
}

Progress::~Progress() { clear(); }

// Takes the table from the screen: up to its first line, then everything below.
void Progress::clear() {
  if (drawn_ > 0) fmt::print(stderr, "\r\033[{}A\033[J", drawn_);
  drawn_ = 0;
}

void Progress::draw() {
  const winsize size = terminal_size();
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  std::string text;
  // One column and two lines less than there are: nothing wraps or scrolls.
  const std::size_t height =
      std::min<std::size_t>(kMostLines, size.ws_row > 3 ? size.ws_row - 2 : 1);
  const std::vector<std::string> lines = table_.lines(size.ws_col - 1U, height, seconds);
  for (const std::string& line : lines) text += line + "\n";
  clear();
  fmt::print(stderr, "{}", text);
  std::fflush(stderr);
  drawn_ = lines.size();
}

void Progress::begin_case(const Job& job, std::size_t /*index*/) {
  if (!terminal_) return;
  table_.begin_case(shown_name(job), str(job.problem), time_of_day());
  draw();
}

void Progress::end_case(const Record& record, std::size_t index) {
  const bool good = is_good(record.status);
  table_.end_case(record);
  if ((terminal_ || quiet_) && good) return;
  clear();
  std::string time;
  if (!record.measurements.empty())
    time = fmt::format(" {} {}", format_seconds(record.measurements[0].median),
                       format_rate(record.measurements[0].bytes_per_second()));
  fmt::print(stderr, "[{}/{}] {} {}@{} {}{}{}{}\n", index + 1, cases_, name(record.status),
             record.variant, record.backend, record.problem, time,
             record.reason.empty() ? "" : ": ", record.reason);
}

void Progress::note(const std::string& text) {
  clear();
  fmt::print(stderr, "assay: {}\n", text);
}

}  // namespace assay
