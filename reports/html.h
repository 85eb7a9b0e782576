// The HTML report: one file that needs no network. Its table, filters and plots are made in the
// browser (reports/html/*.js) from the records as JSON (html_data.h).
#pragma once

#include <optional>
#include <string>

#include "reports/results.h"

namespace assay {

// A sweep that is still going on: the page says so, and loads itself again every few seconds.
struct Ongoing {
  std::size_t done = 0;
  std::size_t cases = 0;
  std::string running;  // the case that is running, in words
  std::string written;  // when, in words: a sweep that was stopped is seen by it
};

std::string html_page(const Results& results, const std::optional<Ongoing>& ongoing = {});

}  // namespace assay
