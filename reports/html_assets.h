// What the HTML report is made of, embedded while building: the files of reports/html and the
// plotting library of reports/vendor.
#pragma once

#include <string_view>

namespace assay {

extern const std::string_view kHtmlPage;  // with {{title}}, {{style}}, … where the rest goes
extern const std::string_view kHtmlStyle;
extern const std::string_view kHtmlLibrary;
extern const std::string_view kHtmlScript;

}  // namespace assay
