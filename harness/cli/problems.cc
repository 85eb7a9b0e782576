// What a command line names as problems: suites and problems as text.
#include <filesystem>
#include <set>

#include "harness/cli/commands.h"
#include "harness/core/error.h"
#include "harness/core/registry.h"

namespace assay {
namespace {

// A text whose first word is an op is a problem; anything else names a suite.
std::vector<Problem> problems_of(const std::string& what, const SuitePath& path) {
  const std::size_t start = what.find_first_not_of(" \t");
  const std::string word = start == std::string::npos
                               ? ""
                               : what.substr(start, what.find_first_of(" \t", start) - start);
  if (find_op(word)) return parse_line(what);
  // With a blank or an equals sign in it this was meant as a problem: let the parser say what is
  // wrong with its op.
  if (what.find_first_of(" =") != std::string::npos) return parse_line(what);
  return load_suite(path.find(what), path);
}

}  // namespace

std::vector<Problem> all_problems(const std::vector<std::string>& what) {
  std::vector<Problem> problems;
  std::set<std::string> seen;
  for (const std::string& item : what)
    for (Problem& problem : problems_of(item, default_suite_path()))
      if (seen.insert(str(problem)).second) problems.push_back(std::move(problem));
  if (problems.empty()) throw UsageError("no case matched: no problem in what was named");
  return problems;
}

}  // namespace assay
