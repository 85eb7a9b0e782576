// What the self-test of verification found, as text that is a Markdown document, too.
#pragma once

#include <string>

#include "harness/engine/selftest.h"

namespace assay {

// The kill matrix (bug × check), what let how many bugs through, elements checked, utilisation of
// the correct variants, and what is not as it should be.
std::string selftest_report(const SelftestResult& result, const std::string& title);

}  // namespace assay
