#include "reports/html.h"

#include <stdexcept>

#include "harness/core/text.h"
#include "reports/html_assets.h"
#include "reports/html_data.h"
#include "reports/writer.h"

namespace assay {
namespace {

std::string markup_escaped(const std::string& text) {
  std::string safe;
  for (const char c : text) {
    if (c == '<')
      safe += "&lt;";
    else if (c == '>')
      safe += "&gt;";
    else if (c == '&')
      safe += "&amp;";
    else
      safe += c;
  }
  return safe;
}

std::string write_html(const Results& results) { return html_page(results); }

ASSAY_WRITER(html){
    .name = "html",
    .summary = "one page with a table and plots, for a browser",
    .write = write_html,
};

}  // namespace

std::string html_page(const Results& results, const std::optional<Ongoing>& ongoing) {
  const std::string devices = join(devices_in(results));
  const std::string data = html_data(results, ongoing);
  std::string page;
  std::string_view rest = kHtmlPage;
  // What is put in is not searched for {{…}} again: a record may hold that.
  for (std::size_t begin; (begin = rest.find("{{")) != std::string_view::npos;) {
    const std::size_t end = rest.find("}}", begin);
    const std::string_view name = rest.substr(begin + 2, end - begin - 2);
    page += rest.substr(0, begin);
    if (name == "title")
      page += markup_escaped("Assay" + (devices.empty() ? "" : ": " + devices));
    else if (name == "style")
      page += kHtmlStyle;
    else if (name == "library")
      page += kHtmlLibrary;
    else if (name == "script")
      page += kHtmlScript;
    else if (name == "data")
      page += data;
    else
      throw std::logic_error("page.html asks for {{" + std::string(name) + "}}");
    rest.remove_prefix(end + 2);
  }
  page += rest;
  return page;
}

}  // namespace assay
