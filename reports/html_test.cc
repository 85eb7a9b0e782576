#include "reports/html.h"

#include <algorithm>

#include "harness/testing_program.h"

namespace assay {
namespace {

constexpr const char* kHostile =
    "</script><img src=x onerror=alert(1)>&\xE2\x80\xA8\xFF{{data}}\x01";

Results hostile() {
  Record record;
  record.op = record.problem = record.variant = record.device = record.reason = record.repro =
      kHostile;
  record.numerics = record.repeatability = record.environment = kHostile;
  record.backend = "cpu";
  record.status = Status::failed;
  record.checks = {{.kind = kHostile,
                    .family = kHostile,
                    .status = Status::failed,
                    .reason = kHostile,
                    .elements = 1,
                    .where = kHostile}};
  Results results;
  add(results, record);
  results.environments.push_back({.facts = {{kHostile, kHostile}}});
  results.notes.emplace_back(kHostile);
  return results;
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (std::size_t at = 0; (at = text.find(part, at)) != std::string::npos; ++at) ++found;
  return found;
}

// What stands inside <script id="data">.
std::string data_of(const std::string& page) {
  const std::string begin = "<script id=\"data\" type=\"application/json\">";
  const std::size_t at = page.find(begin) + begin.size();
  return page.substr(at, page.find("</script>", at) - at);
}

}  // namespace

TEST_CASE("no record can end the script that holds it, nor ask for a part of the page") {
  const std::string page = html_page(hostile());
  CHECK(count(page, "<img src=x") == 0);
  CHECK(count(page, "</script>") == count(html_page({}), "</script>"));
  const std::string data = data_of(page);
  CHECK(contains(
      data,
      R"(\u003c/script\u003e\u003cimg src=x onerror=alert(1)\u003e\u0026\u2028\ufffd{{data}}\u0001)"));
  CHECK(std::all_of(data.begin(), data.end(), [](char c) { return c >= ' ' && c < 127; }));
  CHECK(contains(page, "<title>Assay: &lt;/script&gt;&lt;img"));
}

TEST_CASE("a page asks for nothing from elsewhere") {
  const std::string page = html_page({});
  for (const char* part : {"<link", " src=", "@import", "url("}) {
    INFO(part);
    CHECK(count(page.substr(0, page.find("<script")), part) == 0);
  }
  CHECK(contains(page, "default-src 'none'"));
}

TEST_CASE("a sweep that goes on is said in the page") {
  CHECK(contains(html_page({}), R"("ongoing":null)"));
  CHECK(contains(
      html_page({}, Ongoing{.done = 3, .cases = 9, .running = "fused@cpu <x>", .written = "now"}),
      R"("ongoing":{"done":3,"cases":9,"running":"fused@cpu \u003cx\u003e","written":"now"})"));
}

TEST_CASE("the program writes the page to a file") {
  const Folder folder;
  const std::string out = (folder / "report.html").string();
  const std::string results = "reports/html_test.jsonl";
  CHECK(assay("report " + results + " --format html --out " + out).code == 0);
  CHECK(std::filesystem::file_size(out) > 200'000);
  CHECK(assay("report " + results + " --format html --out /proc/none/x.html").code == 2);
  CHECK(contains(assay("report --help").text, "assay:table"));
}

}  // namespace assay
