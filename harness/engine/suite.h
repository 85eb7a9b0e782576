// Suites: sweeps as text. A line is an op and key=values; several values of several keys mean every
// combination.
//
//   # comment
//   attnres_fwd dtype=bf16,f16 N=2:33 T=1,37,8192 D=2304   # 2:33 = 2, 3, … 33
//   attnres_fwd N=2:33:5 T=1:128:*2 D=8 g=1 eps=1e-5       # step 5; doubling
//   include attnres_smoke
//
// Keys: `dtype`; a tensor's name in lower case (`w=f32`; for an optional tensor also 0 and 1); a
// dim; an option; `family` (of inputs; without it the harness chooses).
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "harness/core/error.h"
#include "harness/core/problem.h"

namespace assay {

// Where in which text something is wrong; what() is "file:line:column: message", the line itself
// and a caret under it.
struct SyntaxError : UsageError {
  using UsageError::UsageError;
};

// The problems of one line, the leftmost key varying slowest; none for a blank line. `origin` and
// `line_number` appear in errors. Throws SyntaxError; `include` is not allowed here.
std::vector<Problem> parse_line(std::string_view line, const std::string& origin = "problem",
                                int line_number = 1);

// The text form of one problem: parse_problem(str(p)) == p. Throws SyntaxError, also where the line
// means several.
Problem parse_problem(std::string_view text);

// "name" is sought as NAME.suite in the folders in order; anything with a '/' or ending in .suite
// is a path.
struct SuitePath {
  std::vector<std::filesystem::path> folders;

  // Throws UsageError naming the nearest suite that is there.
  std::filesystem::path find(std::string_view name) const;
  // All suites, each name once (the first folder wins), sorted.
  std::vector<std::filesystem::path> all() const;
};

// All problems of a suite with its includes, each once, in the order of the text. Throws
// SyntaxError or UsageError.
std::vector<Problem> load_suite(const std::filesystem::path& file, const SuitePath& path);

// The first comment line of a suite: what it is for.
std::string suite_summary(const std::filesystem::path& file);

}  // namespace assay
