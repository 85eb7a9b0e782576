// The one table of columns: what there is to say about a case, for every writer alike. A new column
// is one row here.
#pragma once

#include <string>
#include <vector>

#include "harness/core/record.h"

namespace assay {

struct Column {
  std::string key;                     // of machine-readable formats
  std::string heading;                 // of tables for people
  bool numeric;                        // aligned to the right
  bool in_tables;                      // shown to people; false: only in machine-readable formats
  std::string (*text)(const Record&);  // for people, with units
  std::string (*raw)(const Record&);   // for machines: plain SI numbers, empty where there is none
  bool optional = false;               // left out of tables where no record has it
};

const std::vector<Column>& columns();

// Those that people see in a table of these records.
std::vector<const Column*> columns_shown(const std::vector<Record>& records);

// "237 µs", "2.83 TB/s": three digits and a unit.
std::string format_seconds(double seconds);
std::string format_rate(double bytes_per_second);

}  // namespace assay
