#include "reports/html_data.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <iterator>
#include <unordered_map>
#include <vector>

#include "reports/columns.h"
#include "reports/html_samples.h"
#include "reports/jsonl.h"
#include "reports/samples.h"

namespace assay {
namespace {

// A JSON text that markup cannot break out of.
std::string quoted(std::string_view text) {
  std::string safe;
  for (const char c : json_ascii(text)) {
    if (c == '<')
      safe += "\\u003c";
    else if (c == '>')
      safe += "\\u003e";
    else if (c == '&')
      safe += "\\u0026";
    else
      safe += c;
  }
  return safe;
}

// A number, or as text what JSON has no number for.
std::string number(double value) {
  if (std::isnan(value)) return "\"nan\"";
  if (std::isinf(value)) return value > 0 ? "\"inf\"" : "\"-inf\"";
  return fmt::format("{}", value);
}

// What a column says to machines: a number where it is one, null where there is nothing.
std::string raw_number(const std::string& raw) {
  if (raw.empty()) return "null";
  double value = 0;
  const auto [end, error] = std::from_chars(raw.data(), raw.data() + raw.size(), value);
  return error == std::errc() && end == raw.data() + raw.size() ? number(value) : quoted(raw);
}

// [a,b,…] of what `text` makes of each element.
template <class Range, class F>
std::string array(const Range& range, F text) {
  std::string made = "[";
  for (const auto& element : range) {
    if (made.size() > 1) made += ',';
    made += text(element);
  }
  return made + "]";
}

// Texts, each once, and which of them stands at each place.
class Dictionary {
 public:
  void append(const std::string& text) {
    const auto [found, added] = places_.try_emplace(text, distinct_.size());
    if (added) distinct_.push_back(text);
    sequence_.push_back(found->second);
  }
  std::string fields() const {
    return "\"distinct\":" +
           array(distinct_, [](const std::string& text) { return quoted(text); }) +
           ",\"at\":" + array(sequence_, [](std::size_t place) { return std::to_string(place); });
  }

 private:
  std::vector<std::string> distinct_;
  std::vector<std::size_t> sequence_;
  std::unordered_map<std::string, std::size_t> places_;
};

std::string column_data(const Column& column, const std::vector<Record>& records) {
  Dictionary texts;
  for (const Record& record : records) texts.append(column.text(record));
  std::string data =
      fmt::format(R"({{"key":{},"heading":{},"numeric":{},"shown":{},{})", quoted(column.key),
                  quoted(column.heading), column.numeric, column.in_tables, texts.fields());
  if (column.numeric)
    data +=
        ",\"raw\":" + array(records, [&](const Record& r) { return raw_number(column.raw(r)); });
  return data + "}";
}

// Every measurement, by field.
std::string measurement_data(const std::vector<Record>& records) {
  Dictionary caches;
  Dictionary clocks;
  std::string of;
  constexpr const char* kNames[] = {"median", "p05",   "p95", "bytes",  "flops",
                                    "limit",  "share", "fma", "matrix", "samples"};
  std::string numbers[std::size(kNames)];
  for (std::size_t i = 0; i < records.size(); ++i) {
    for (const Measurement& m : records[i].measurements) {
      caches.append(m.cache);
      clocks.append(m.clock);
      const char* comma = of.empty() ? "" : ",";
      of += comma + std::to_string(i);
      const double values[] = {m.median,
                               m.p05,
                               m.p95,
                               m.bytes_read + m.bytes_written,
                               m.flops,
                               m.limit,
                               m.fraction_of_limit(),
                               m.fma_limit,
                               m.matrix_limit,
                               static_cast<double>(m.samples)};
      static_assert(std::size(values) == std::size(kNames));
      for (std::size_t k = 0; k < std::size(values); ++k) numbers[k] += comma + number(values[k]);
    }
  }
  std::string data = fmt::format(R"({{"record":[{}],"cache":{{{}}},"clock":{{{}}})", of,
                                 caches.fields(), clocks.fields());
  for (std::size_t k = 0; k < std::size(kNames); ++k)
    data += fmt::format(R"(,"{}":[{}])", kNames[k], numbers[k]);
  return data + "}";
}

// Of each measurement, in the order of measurement_data.
std::string sample_data(const std::vector<Record>& records, SampleReader& reader) {
  std::size_t measurements = 0;
  for (const Record& record : records) measurements += record.measurements.size();
  std::string data;
  for (const Record& record : records)
    for (const Measurement& measurement : record.measurements)
      data += (data.empty() ? "" : ",") +
              html_samples(reader.read(measurement), most_samples(measurements));
  return "[" + data + "]";
}

// Of each record [family, largest utilisation, family, …].
std::string utilisation_data(const std::vector<Record>& records) {
  std::vector<std::string> families;
  std::unordered_map<std::string, std::size_t> places;
  const std::string of = array(records, [&](const Record& record) {
    std::vector<std::pair<std::size_t, double>> largest;
    for (const Check& check : record.checks) {
      if (check.elements == 0 || check.family.empty()) continue;
      const auto [found, added] = places.try_emplace(check.family, families.size());
      if (added) families.push_back(check.family);
      const auto known = std::find_if(largest.begin(), largest.end(), [&](const auto& entry) {
        return entry.first == found->second;
      });
      if (known == largest.end())
        largest.emplace_back(found->second, check.utilisation);
      else if (!(check.utilisation <= known->second))  // NaN wins
        known->second = check.utilisation;
    }
    return array(largest, [](const auto& entry) {
      const bool finite = std::isfinite(entry.second);
      return fmt::format("{},{}", entry.first,
                         finite ? fmt::format("{:.4g}", entry.second) : number(entry.second));
    });
  });
  return fmt::format(R"({{"families":{},"of":{}}})",
                     array(families, [](const std::string& family) { return quoted(family); }), of);
}

// The checks that did not pass: at most three of a record, the others are counted.
std::string failure_data(const std::vector<Record>& records) {
  std::string data;
  for (std::size_t i = 0; i < records.size(); ++i) {
    int shown = 0;
    int others = 0;
    for (const Check& check : records[i].checks) {
      if (check.status == Status::passed) continue;
      if (++shown > 3) {
        ++others;
        continue;
      }
      data += fmt::format(
          R"({}{{"record":{},"what":{},"status":{},"reason":{},"where":{}}})",
          data.empty() ? "" : ",", i,
          quoted(fmt::format("{} · {} · seed {}{}", check.kind, check.family, check.seed,
                             check.output.empty() ? "" : " · " + check.output)),
          quoted(name(check.status)), quoted(check.reason), quoted(check.where));
    }
    if (others > 0)
      data += fmt::format(R"(,{{"record":{},"what":"{} more","status":"","reason":"","where":""}})",
                          i, others);
  }
  return "[" + data + "]";
}

std::string environment_data(const Environment& environment) {
  return fmt::format(R"({{"id":{},"facts":{}}})", quoted(environment.id()),
                     array(environment.facts, [](const auto& fact) {
                       return "[" + quoted(fact.first) + "," + quoted(fact.second) + "]";
                     }));
}

std::string ongoing_data(const std::optional<Ongoing>& ongoing) {
  if (!ongoing) return "null";
  return fmt::format(R"({{"done":{},"cases":{},"running":{},"written":{}}})", ongoing->done,
                     ongoing->cases, quoted(ongoing->running), quoted(ongoing->written));
}

}  // namespace

std::string html_data(const Results& results, const std::optional<Ongoing>& ongoing) {
  const std::vector<Record>& records = results.records;
  std::string data = fmt::format(R"({{"records":{},)", records.size());
  data += "\"ongoing\":" + ongoing_data(ongoing);
  data +=
      ",\"statuses\":" + array(kAllStatuses, [](Status status) { return quoted(name(status)); });
  SampleReader reader;
  data += ",\"samples\":" + sample_data(records, reader);
  std::vector<std::string> notes = results.notes;
  notes.insert(notes.end(), reader.notes().begin(), reader.notes().end());
  data += ",\"notes\":" + array(notes, [](const std::string& note) { return quoted(note); });
  data += ",\"environments\":" + array(results.environments, environment_data);
  data += ",\"columns\":" +
          array(columns(), [&](const Column& column) { return column_data(column, records); });
  data += ",\"measurements\":" + measurement_data(records);
  data += ",\"utilisation\":" + utilisation_data(records);
  data += ",\"failures\":" + failure_data(records);
  return data + "}";
}

}  // namespace assay
