#include "reports/columns.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace assay {
namespace {

const Measurement* cold(const Record& record) {
  for (const Measurement& measurement : record.measurements)
    if (measurement.cache == "cold") return &measurement;
  return nullptr;
}

// f(measurement), or nothing where the case was not timed.
template <class F>
std::string timed(const Record& record, F f) {
  const Measurement* measurement = cold(record);
  return measurement ? f(*measurement) : "";
}

std::string number(double value) { return fmt::format("{}", value); }

double utilisation(const Record& record) {
  double most = 0;
  for (const Check& check : record.checks) most = std::max(most, check.utilisation);
  return most;
}

// How far the cuda and simt builds of this variant differ, where both ran: of all families and
// outputs.
std::string twin(const Record& record) {
  std::string text;
  for (const Check& check : record.checks) {
    if (check.kind == "twin")
      text += (text.empty() ? "" : "; ") + check.family + ": " + check.reason;
  }
  return text;
}

// The outputs that a peer does not compute.
std::string missing(const Record& record) {
  std::string text;
  for (const Check& check : record.checks)
    if (check.kind == "missing") text += (text.empty() ? "" : ", ") + check.output;
  return text;
}

std::int64_t elements(const Record& record) {
  std::int64_t sum = 0;
  for (const Check& check : record.checks) sum += check.elements;
  return sum;
}

std::string scaled(double value, double first, std::initializer_list<const char*> units) {
  if (!std::isfinite(value)) return fmt::format("{}", value);
  value /= first;
  const char* const* unit = units.begin();
  while (std::abs(value) >= 999.5 && unit + 1 != units.end()) {
    value /= 1000;
    ++unit;
  }
  const int digits = std::abs(value) >= 99.95 ? 0 : std::abs(value) >= 9.995 ? 1 : 2;
  return fmt::format("{:.{}f} {}", value, digits, *unit);
}

}  // namespace

std::string format_seconds(double seconds) {
  return scaled(seconds, 1e-9, {"ns", "µs", "ms", "s"});
}

std::string format_rate(double bytes_per_second) {
  return scaled(bytes_per_second, 1e6, {"MB/s", "GB/s", "TB/s"});
}

const std::vector<Column>& columns() {
  using R = const Record&;
  using M = const Measurement&;
  static const std::vector<Column> table = {
      {"op", "op", false, false, [](R r) { return r.op; }, [](R r) { return r.op; }},
      {"problem", "problem", false, true, [](R r) { return r.problem; },
       [](R r) { return r.problem; }},
      {"variant", "variant", false, true, [](R r) { return r.variant + "@" + r.backend; },
       [](R r) { return r.variant; }},
      {"backend", "backend", false, false, [](R r) { return r.backend; },
       [](R r) { return r.backend; }},
      {"device", "device", false, false, [](R r) { return r.device; },
       [](R r) { return r.device; }},
      {"status", "status", false, true, [](R r) { return std::string(name(r.status)); },
       [](R r) { return std::string(name(r.status)); }},
      {"elements_checked", "checked", true, false,
       [](R r) { return number(static_cast<double>(elements(r))); },
       [](R r) { return std::to_string(elements(r)); }},
      {"utilisation", "error/bound", true, true,
       [](R r) { return r.checks.empty() ? "" : fmt::format("{:.3f}", utilisation(r)); },
       [](R r) { return r.checks.empty() ? "" : number(utilisation(r)); }},
      {"median_s", "median", true, true,
       [](R r) {
         if (r.backend == "simt") return std::string("never timed");
         return timed(r, [](M m) { return format_seconds(m.median); });
       },
       [](R r) { return timed(r, [](M m) { return number(m.median); }); }},
      {"p05_s", "p05", true, true,
       [](R r) { return timed(r, [](M m) { return format_seconds(m.p05); }); },
       [](R r) { return timed(r, [](M m) { return number(m.p05); }); }},
      {"p95_s", "p95", true, true,
       [](R r) { return timed(r, [](M m) { return format_seconds(m.p95); }); },
       [](R r) { return timed(r, [](M m) { return number(m.p95); }); }},
      {"samples", "samples", true, false,
       [](R r) { return timed(r, [](M m) { return std::to_string(m.samples); }); },
       [](R r) { return timed(r, [](M m) { return std::to_string(m.samples); }); }},
      {"bytes", "bytes", true, false,
       [](R r) { return timed(r, [](M m) { return number(m.bytes_read + m.bytes_written); }); },
       [](R r) { return timed(r, [](M m) { return number(m.bytes_read + m.bytes_written); }); }},
      {"bytes_per_s", "least bytes/s", true, true,
       [](R r) { return timed(r, [](M m) { return format_rate(m.bytes_per_second()); }); },
       [](R r) { return timed(r, [](M m) { return number(m.bytes_per_second()); }); }},
      {"limit_bytes_per_s", "limit", true, false,
       [](R r) { return timed(r, [](M m) { return format_rate(m.limit); }); },
       [](R r) { return timed(r, [](M m) { return number(m.limit); }); }},
      {"fraction_of_limit", "of limit", true, true,
       [](R r) {
         return timed(r, [](M m) { return fmt::format("{:.0f} %", 100 * m.fraction_of_limit()); });
       },
       [](R r) { return timed(r, [](M m) { return number(m.fraction_of_limit()); }); }},
      {"workspace_bytes", "workspace", true, true,
       [](R r) {
         return r.workspace_bytes > 0
                    ? scaled(static_cast<double>(r.workspace_bytes), 1, {"B", "kB", "MB", "GB"})
                    : "";
       },
       [](R r) { return std::to_string(r.workspace_bytes); }},
      {"numerics", "numerics", false, false, [](R r) { return r.numerics; },
       [](R r) { return r.numerics; }},
      {"repeatability", "repeatability", false, false, [](R r) { return r.repeatability; },
       [](R r) { return r.repeatability; }},
      {"missing", "not computed", false, false, missing, missing},
      {"twin", "cuda vs simt", false, false, twin, twin},
      {"reason", "reason", false, false, [](R r) { return r.reason; },
       [](R r) { return r.reason; }},
      {"repro", "repro", false, false, [](R r) { return r.repro; }, [](R r) { return r.repro; }},
      {"environment", "environment", false, false, [](R r) { return r.environment; },
       [](R r) { return r.environment; }},
  };
  return table;
}

}  // namespace assay
