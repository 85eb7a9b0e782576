// assay report: records to tables.
#include <fmt/format.h>

#include "harness/cli/commands.h"
#include "harness/core/error.h"
#include "reports/jsonl.h"
#include "reports/writer.h"

namespace assay {

int report_command(const ReportArguments& arguments) {
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
  fmt::print("{}", chosen->write(results));
  return kExitGood;
}

}  // namespace assay
