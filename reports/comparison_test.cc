// Golden text of a comparison in every format, and that what records say stays text in all of them.
#include "reports/comparison.h"

#include <pugixml.hpp>

#include "harness/testing.h"
#include "harness/testing_program.h"
#include "reports/utf8.h"

namespace assay {
namespace {

Comparison comparison() {
  Comparison made;
  made.base = "old.jsonl";
  made.next = "new.jsonl";
  made.differences = {"commit: 1b37621c412a, now 757d520d1e5f"};
  CaseChange slow{"attnres_fwd", "attnres_fwd dtype=bf16 N=9 T=64 D=2048",     "fused", "cuda",
                  "NVIDIA H100", "assay run '…' --variant fused@cuda --seed 1"};
  slow.times = {{.cache = "cold",
                 .change = Change::slower,
                 .base = 100e-6,
                 .next = 105e-6,
                 .ratio = 1.05,
                 .low = 1.04,
                 .high = 1.06,
                 .standard_error = 0.005,
                 .p = 1e-9,
                 .reruns = 3,
                 .why = "confirmed by re-runs"}};
  CaseChange wrong = slow;
  wrong.variant = "naive";
  wrong.times[0].change = Change::same;
  wrong.times[0].why = "";
  wrong.numerics = {{"verdict", true, "passed, now failed: O[3] = nan"}};
  made.cases = {slow, wrong};
  made.only_in_base = {"attnres_fwd/split_kv@cuda on `…` (NVIDIA H100)"};
  made.means = {{"attnres_fwd", "fused@cuda", "cold", 1.05, 1}, {"", "", "cold", 1.05, 2}};
  return made;
}

std::string written(const std::string& format, const Comparison& what) {
  for (const ComparisonWriter& writer : comparison_writers())
    if (writer.name == format) return writer.write(what);
  return "no such writer";
}

// Markup of every format, and bytes that are in none.
constexpr const char* kNasty =
    "<b>&amp;\"'`|*_[x](y)\n::error::x%0A]]> \x01\x1b[31m \xff \xf0\x9f\x98\x80 -->";

Comparison nasty() {
  Comparison made = comparison();
  for (CaseChange& one : made.cases) {
    one.problem = one.device = one.repro = kNasty;
    one.times[0].why = kNasty;
  }
  made.cases[1].numerics[0].text = kNasty;
  made.only_in_base = made.notes = made.differences = {kNasty};
  made.base = kNasty;
  return made;
}

}  // namespace

TEST_CASE("a comparison on the console") {
  CHECK(written("console", comparison()) ==
        "old.jsonl -> new.jsonl; intervals of 95 %\n"
        "environment: commit: 1b37621c412a, now 757d520d1e5f\n"
        "attnres_fwd dtype=bf16 N=9 T=64 D=2048\n"
        "  fused@cuda\n"
        "    slower  cold: 100 µs -> 105 µs, +5.0 % (+4.0 % to +6.0 %); confirmed by re-runs\n"
        "    assay run '…' --variant fused@cuda --seed 1\n"
        "  naive@cuda\n"
        "    worse   verdict: passed, now failed: O[3] = nan\n"
        "    assay run '…' --variant fused@cuda --seed 1\n"
        "only in old.jsonl: attnres_fwd/split_kv@cuda on `…` (NVIDIA H100)\n"
        "\n"
        "geometric means\n"
        "  attnres_fwd/fused@cuda           cold     +5.0 % (1 case)\n"
        "  all                              cold     +5.0 % (2 cases)\n"
        "\n"
        "2 cases compared, 2 times: 1 same, 0 faster, 1 slower, 0 unclear; numerics worse in 1; "
        "only in old.jsonl: 1\n");
}

TEST_CASE("a comparison as markdown") {
  const std::string text = written("markdown", comparison());
  INFO(text);
  CHECK(text.starts_with("## Assay: 2 regressions\n\nold.jsonl → new.jsonl. 2 cases compared"));
  CHECK(contains(text,
                 "### Slower\n\n"
                 "| case | variant | cache | before | after | change | 95 % interval | |\n"
                 "| --- | --- | --- | ---: | ---: | ---: | ---: | --- |\n"
                 "| `attnres_fwd dtype=bf16 N=9 T=64 D=2048` | `fused@cuda` | cold | 100 µs | 105 "
                 "µs | +5.0 % | +4.0 % to +6.0 % | confirmed by re-runs |\n"));
  CHECK(contains(text, "| verdict | passed, now failed: O\\[3\\] = nan |"));
  CHECK(contains(text, "<details><summary>Everything else</summary>"));
  Comparison none = comparison();
  none.cases.clear();
  CHECK(written("markdown", none).starts_with("## Assay: no regression\n"));
}

TEST_CASE("a comparison as JUnit XML, with figures as properties") {
  pugi::xml_document document;
  REQUIRE(document.load_string(written("junit", comparison()).c_str()));
  const pugi::xml_node suite = document.child("testsuites").child("testsuite");
  CHECK(suite.attribute("tests").as_int() == 3);
  CHECK(suite.attribute("failures").as_int() == 2);
  CHECK(suite.attribute("skipped").as_int() == 1);
  const pugi::xml_node slow = suite.child("testcase");
  CHECK(std::string(slow.attribute("classname").value()) == "attnres_fwd/fused@cuda");
  CHECK(slow.child("failure").attribute("type").value() == std::string("slower"));
  const auto property = [](pugi::xml_node test, const char* name) {
    return std::string(test.child("properties")
                           .find_child_by_attribute("property", "name", name)
                           .attribute("value")
                           .value());
  };
  CHECK(property(slow, "cold.ratio") == "1.05");
  CHECK(property(slow, "cold.change") == "slower");
  const pugi::xml_node wrong = slow.next_sibling("testcase");
  CHECK(property(wrong, "verdict") == "passed, now failed: O[3] = nan");
  CHECK(wrong.child("failure").text().get() ==
        std::string("assay run '…' --variant fused@cuda --seed 1"));
}

TEST_CASE("markup and control characters in a comparison stay text") {
  const std::string xml = written("junit", nasty());
  pugi::xml_document document;
  REQUIRE(document.load_string(xml.c_str()));
  const pugi::xml_node test = document.child("testsuites").child("testsuite").child("testcase");
  const std::string name = test.attribute("name").value();
  CHECK(contains(name, "<b>&amp;\"'`|*_[x](y)"));
  CHECK(contains(name, "]]> \xef\xbf\xbd\xef\xbf\xbd[31m \xef\xbf\xbd \xf0\x9f\x98\x80 -->"));
  CHECK(test.child("failure").text().get() == xml_text(kNasty));
  CHECK(std::distance(test.children("failure").begin(), test.children("failure").end()) == 1);
  for (const char c : xml) CHECK((static_cast<unsigned char>(c) >= 0x20 || c == '\n'));

  const std::string markdown = written("markdown", nasty());
  CHECK_FALSE(contains(markdown, "\n::error::"));
  CHECK(contains(markdown, "\\<b\\>\\&amp;"));
  CHECK(contains(markdown, "`<b>&amp;\"''\\|*_[x](y) ::error::x%0A]]>"));
  for (const char c : markdown) CHECK((static_cast<unsigned char>(c) >= 0x20 || c == '\n'));

  // Each line is a command of ours: what was a line break within is escaped.
  const std::string github = written("github", nasty());
  CHECK(std::count(github.begin(), github.end(), '\n') == 4);
  CHECK(contains(github, "%0A::error::x%250A]]>"));
}

TEST_CASE("annotations for GitHub Actions") {
  CHECK(written("github", comparison())
            .starts_with("::error title=fused@cuda is slower::attnres_fwd dtype=bf16 N=9 T=64 "
                         "D=2048: cold 100 µs -> "
                         "105 µs, +5.0 %25 (+4.0 %25 to +6.0 %25)%0Aassay run '…' --variant "
                         "fused@cuda --seed 1\n"
                         "::error title=naive@cuda%3A verdict::"));
}

TEST_CASE("what XML can't hold is replaced, whatever the bytes") {
  CHECK(xml_text("aµ\t\n\xf0\x9f\x98\x80") == "aµ\t\n\xf0\x9f\x98\x80");
  CHECK(xml_text(std::string("\0", 1)) == "\xef\xbf\xbd");
  CHECK(xml_text("\x0b") == "\xef\xbf\xbd");
  CHECK(xml_text("\xc0\xaf") == "\xef\xbf\xbd\xef\xbf\xbd");                  // overlong
  CHECK(xml_text("\xed\xa0\x80") == "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");  // a surrogate
  CHECK(xml_text("\xef\xbf\xbf") == "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");  // U+FFFF
  CHECK(xml_text("\xe2\x82") == "\xef\xbf\xbd\xef\xbf\xbd");                  // cut
}

}  // namespace assay
