// The records as the script of the HTML report reads them: JSON that may stand inside a <script>.
#pragma once

#include <optional>
#include <string>

#include "reports/html.h"
#include "reports/results.h"

namespace assay {

// By column rather than by record, each distinct text once: 10 000 records stay a few megabytes.
// `<`, `>`, `&` and whatever is not ASCII are escaped, so that no record can end the <script>.
std::string html_data(const Results& results, const std::optional<Ongoing>& ongoing);

}  // namespace assay
