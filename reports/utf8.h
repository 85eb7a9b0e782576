// Text from anywhere (a device's own words, a file that somebody sent) made fit for formats that
// take no byte they don't know.
#pragma once

#include <string>
#include <string_view>

namespace assay {

// UTF-8 without the characters that XML 1.0 can't hold, not even escaped: those and bytes that are
// no UTF-8 become U+FFFD. Markup is left to whoever writes the XML.
std::string xml_text(std::string_view text);

}  // namespace assay
