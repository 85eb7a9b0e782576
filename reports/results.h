// Results: what was read from one or several files of records, and what reports count in them.
#pragma once

#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "harness/core/record.h"

namespace assay {

struct Results {
  std::vector<Environment> environments;  // each once
  std::vector<Record>
      records;  // of each case (id, problem, device) the newest, in the order of first appearance
  std::vector<std::string> notes;  // what was left out, and why: for the reader of the report
  int other_schemas = 0;           // lines left out since their schema is not ours
  std::unordered_map<std::string, std::size_t> place;  // of each case in `records`
};

// Replaces an older record of the same case.
void add(Results& results, Record record);

struct Counts {
  std::map<Status, int> by_status;
  std::map<std::string, int> unsupported;  // reason -> cases

  void add(const Record& record);
  bool good() const;  // no case failed, was mistrusted, crashed, timed out or errored
};

// "27 cases: 25 passed, 0 failed, 2 unsupported", a line more for each reason.
std::string summary(const Counts& counts);

}  // namespace assay
