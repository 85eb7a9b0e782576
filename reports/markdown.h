// Markdown from records: the pieces of the markdown report, which tables in documents use too.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "reports/columns.h"

namespace assay {

// Text that stays one cell: a bar or a line break would end it.
std::string markdown_cell(std::string_view text);

// A line of cells, with its line break.
std::string markdown_row(const std::vector<std::string>& cells);

// A row a record. Records of several devices should not be mixed: nothing here says which is which.
std::string markdown_cases(const std::vector<const Record*>& records,
                           const std::vector<const Column*>& shown);

std::string markdown_facts(const Environment& environment);

}  // namespace assay
