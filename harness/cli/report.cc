// assay report: records to tables, on their own or inside documents.
#include <fmt/format.h>

#include "harness/cli/commands.h"
#include "harness/core/error.h"
#include "harness/core/file.h"
#include "reports/document.h"
#include "reports/jsonl.h"
#include "reports/writer.h"

namespace assay {
namespace {

// Every document is read and judged before the first is written.
int fill_documents(const ReportArguments& arguments) {
  std::vector<Document> documents;
  for (const std::string& path : arguments.into) {
    documents.push_back(fill_tables(read_file(path), path, arguments.files));
    if (documents.back().tables == 0)
      throw UsageError(fmt::format(
          "{} has no line <!-- assay:table NAME … -->: see `assay report --help`", path));
  }
  bool stale = false;
  for (std::size_t i = 0; i < documents.size(); ++i) {
    const Document& document = documents[i];
    const std::string& path = arguments.into[i];
    for (const std::string& note : document.notes) fmt::print(stderr, "assay: {}\n", note);
    for (const int line : document.stale)
      fmt::print("{}:{}: {}\n", path, line,
                 arguments.check ? "the table is not up to date" : "made anew");
    if (document.stale.empty())
      fmt::print("{}: {} table{}, up to date\n", path, document.tables,
                 document.tables == 1 ? "" : "s");
    else if (arguments.check)
      fmt::print("to update it: assay report --into {}\n", path);
    else
      replace_file(path, document.text);
    stale = stale || !document.stale.empty();
  }
  return stale && arguments.check ? kExitBad : kExitGood;
}

}  // namespace

int report_command(const ReportArguments& arguments) {
  if (!arguments.into.empty()) return fill_documents(arguments);
  if (arguments.files.empty()) throw UsageError("which records? name the files that hold them");
  const Writer* chosen = nullptr;
  std::vector<std::string> names;
  for (const Writer& writer : writers()) {
    names.push_back(writer.name);
    if (writer.name == arguments.format) chosen = &writer;
  }
  if (!chosen)
    throw UsageError(fmt::format("unknown format `{}`{}", arguments.format,
                                 suggestion(arguments.format, names)));
  const Results results = read_results(arguments.files);
  for (const std::string& note : results.notes) fmt::print(stderr, "assay: {}\n", note);
  if (results.records.empty()) throw UsageError("there is no record of a case in what was named");
  const std::string text = chosen->write(results);
  if (arguments.out.empty())
    fmt::print("{}", text);
  else
    replace_file(arguments.out, text);
  return kExitGood;
}

}  // namespace assay
