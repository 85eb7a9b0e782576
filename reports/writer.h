// A report format: one file in this folder that turns Results into text and registers itself.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "reports/results.h"

namespace assay {

struct Writer {
  std::string name;  // --format NAME
  std::string summary;
  std::string (*write)(const Results&);
};

struct RegisterWriter {
  RegisterWriter(Writer writer);  // NOLINT(google-explicit-constructor): ASSAY_WRITER relies on it
};

const std::vector<Writer>& writers();  // sorted by name

// Devices of the records, in order of appearance: tables of different devices stay apart.
std::vector<std::string> devices_in(const Results& results);

// Width on a terminal of UTF-8 text without combining characters.
std::size_t display_width(std::string_view text);

}  // namespace assay

// ASSAY_WRITER(csv) { .name = "csv", ... };
#define ASSAY_WRITER(identifier) \
  static const ::assay::RegisterWriter assay_writer_##identifier = ::assay::Writer
