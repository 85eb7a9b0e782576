// The table of a sweep on a terminal, as the terminal is told to draw it.
#include <pty.h>

#include <cerrno>

#include "harness/testing_program.h"
#include "reports/writer.h"

namespace assay {
namespace {

// What a program writes to a terminal of that size.
std::string on_terminal(const std::string& arguments, unsigned short columns, unsigned short rows) {
  winsize size{};
  size.ws_col = columns;
  size.ws_row = rows;
  int terminal = -1;
  const pid_t child = forkpty(&terminal, nullptr, nullptr, &size);
  REQUIRE(child >= 0);
  if (child == 0) {
    setenv("TERM", "xterm", 1);
    const std::string command = "cd '" ASSAY_SOURCE_DIR "' && exec " ASSAY_BINARY " " + arguments;
    execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
    _exit(127);
  }
  std::string text;
  char buffer[4096];
  for (ssize_t n; (n = read(terminal, buffer, sizeof buffer)) > 0 || (n < 0 && errno == EINTR);)
    if (n > 0) text.append(buffer, static_cast<std::size_t>(n));
  close(terminal);
  int status = 0;
  waitpid(child, &status, 0);
  CHECK(WEXITSTATUS(status) == 0);
  return text;
}

// The screen after that, of which only what Progress uses is understood: \r, \n, up and erase.
std::vector<std::string> screen(const std::string& text) {
  std::vector<std::string> lines(1);
  std::size_t line = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\r') continue;
    if (text[i] == '\n') {
      if (++line == lines.size()) lines.emplace_back();
    } else if (text.compare(i, 2, "\033[") == 0) {
      std::size_t end = i + 2;
      while (end < text.size() && text[end] >= '0' && text[end] <= '9') ++end;
      if (text[end] == 'A') line -= std::stoul(text.substr(i + 2, end - i - 2));
      if (text[end] == 'J') lines.resize(line + 1), lines.back().clear();
      i = end;
    } else {
      lines[line] += text[i];
    }
  }
  return lines;
}

}  // namespace

TEST_CASE("on a terminal a sweep shows a table that goes away, and its summary stays") {
  const std::string text =
      on_terminal("run 'attnres_fwd dtype=bf16 N=2:4 T=2 D=8' --backend cpu --verify-only", 90, 30);
  INFO(text);
  CHECK(contains(text, "▸  fused@cpu"));
  CHECK(contains(text, "running since "));
  CHECK(contains(text, " 11 of 12  11 passed  "));
  std::string without_last = text.substr(0, text.rfind("\033["));
  for (const std::string& line : screen(without_last)) CHECK(display_width(line) < 90);
  const std::vector<std::string> left = screen(text);
  CHECK(left[0] == "12 cases: 12 passed, 0 failed, 0 unsupported");
  REQUIRE(left.size() >= 3);
  CHECK(contains(left[1], "3 problems in "));
  CHECK(left[2].substr(0, 11) == "wall time: ");
}

TEST_CASE("elsewhere a sweep writes a plain line a case") {
  const Outcome outcome =
      assay("run 'attnres_fwd dtype=bf16 N=2 T=2 D=8' --backend cpu --verify-only");
  CHECK_FALSE(contains(outcome.text, "\033"));
  CHECK(contains(outcome.text, "[1/4] passed fused@cpu attnres_fwd dtype=bf16 N=2 Q=1 T=2 D=8\n"));
}

}  // namespace assay
