// The tables that documents can ask for by name.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "reports/results.h"

namespace assay {

// What a table shows of its records.
struct TableRequest {
  std::string table;                 // cases, variants, environment, summary
  std::vector<std::string> columns;  // keys, of `cases` alone; empty: those of the other reports
  // (a column's key, GLOBs): a record must match one of the globs of each.
  std::vector<std::pair<std::string, std::vector<std::string>>> filters;
};

// Throws UsageError that says what is wrong for an unknown table or column and where no case is
// left.
std::string make_table(const TableRequest& request, const Results& results);

}  // namespace assay
