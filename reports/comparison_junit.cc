// A comparison as JUnit XML, which CI servers show: a test case per case, its figures as
// properties; a regression is a failure.
#include <fmt/format.h>

#include <pugixml.hpp>
#include <sstream>
#include <string_view>

#include "reports/columns.h"
#include "reports/comparison.h"
#include "reports/utf8.h"

namespace assay {
namespace {

void set(pugi::xml_node node, const char* attribute, std::string_view value) {
  node.append_attribute(attribute) = xml_text(value).c_str();
}

void property(pugi::xml_node properties, const std::string& name, const std::string& value) {
  pugi::xml_node node = properties.append_child("property");
  set(node, "name", name);
  set(node, "value", value);
}

// A failure's message is a line, its text has what is needed to look into it.
void fail(pugi::xml_node test, const char* type, const std::string& message,
          const std::string& text) {
  pugi::xml_node failure = test.append_child("failure");
  set(failure, "type", type);
  set(failure, "message", message);
  failure.text().set(xml_text(text).c_str());
}

std::string describe(const TimeChange& time) {
  return fmt::format("{} {}: {} -> {}, {} ({}){}{}", time.cache, name(time.change),
                     format_seconds(time.base), format_seconds(time.next),
                     format_change(time.ratio), format_interval(time), time.why.empty() ? "" : "; ",
                     time.why);
}

void add_case(pugi::xml_node suite, const CaseChange& one) {
  pugi::xml_node test = suite.append_child("testcase");
  set(test, "classname", one.id());
  set(test, "name", one.problem);
  test.append_attribute("time") = one.times.empty() ? 0 : one.times.front().next;
  pugi::xml_node properties = test.append_child("properties");
  property(properties, "device", one.device);
  for (const TimeChange& time : one.times) {
    property(properties, time.cache + ".change", std::string(name(time.change)));
    property(properties, time.cache + ".base_s", fmt::format("{}", time.base));
    property(properties, time.cache + ".new_s", fmt::format("{}", time.next));
    property(properties, time.cache + ".ratio", fmt::format("{}", time.ratio));
    property(properties, time.cache + ".low", fmt::format("{}", time.low));
    property(properties, time.cache + ".high", fmt::format("{}", time.high));
    property(properties, time.cache + ".p", fmt::format("{}", time.p));
  }
  for (const NumericChange& change : one.numerics) property(properties, change.what, change.text);
  for (const TimeChange& time : one.times)
    if (time.change == Change::slower) fail(test, "slower", describe(time), one.repro);
  for (const NumericChange& change : one.numerics)
    if (change.regression) fail(test, change.what.c_str(), change.text, one.repro);
}

std::string write_junit(const Comparison& comparison) {
  pugi::xml_document document;
  pugi::xml_node declaration = document.append_child(pugi::node_declaration);
  declaration.append_attribute("version") = "1.0";
  declaration.append_attribute("encoding") = "UTF-8";
  pugi::xml_node suites = document.append_child("testsuites");
  pugi::xml_node suite = suites.append_child("testsuite");
  set(suite, "name", fmt::format("assay compare {} {}", comparison.base, comparison.next));
  suite.append_attribute("tests") = comparison.cases.size() + comparison.only_in_base.size();
  suite.append_attribute("failures") = comparison.regressions();
  suite.append_attribute("errors") = 0;
  suite.append_attribute("skipped") =
      comparison.missing_is_regression ? 0 : comparison.only_in_base.size();
  pugi::xml_node properties = suite.append_child("properties");
  for (const std::string& line : comparison.differences) property(properties, "environment", line);
  for (const GeometricMean& mean : comparison.means)
    property(properties,
             fmt::format("geometric_mean {} {}",
                         mean.op.empty() ? "all" : mean.op + "/" + mean.variant, mean.cache),
             fmt::format("{}", mean.ratio));
  for (const CaseChange& one : comparison.cases) add_case(suite, one);
  for (const std::string& title : comparison.only_in_base) {
    pugi::xml_node test = suite.append_child("testcase");
    set(test, "classname", "missing");
    set(test, "name", title);
    const std::string why = "only in " + comparison.base;
    if (comparison.missing_is_regression)
      fail(test, "missing", why, "");
    else
      set(test.append_child("skipped"), "message", why);
  }
  std::ostringstream text;
  document.save(text, "  ");
  return text.str();
}

ASSAY_COMPARISON_WRITER(junit){
    .name = "junit",
    .summary = "XML for CI servers",
    .write = write_junit,
};

}  // namespace
}  // namespace assay
