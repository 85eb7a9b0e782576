#include "reports/columns.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace assay {
namespace {

// f(measurement) in this cache state, or nothing where the case was not timed so.
template <class F>
std::string timed(const Record& record, F f, const char* cache = "cold") {
  for (const Measurement& measurement : record.measurements)
    if (measurement.cache == cache) return f(measurement);
  return "";
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

std::string percent(double share) { return fmt::format("{:.0f} %", 100 * share); }

// "2 × norms 12.3 µs + mix 40.1 µs": the kernels of a run, where there are several.
std::string kernels(const Record& record) {
  return timed(record, [](const Measurement& m) {
    std::string text;
    if (m.kernels.size() == 1 && m.kernels[0].count == 1) return text;
    for (const KernelTime& kernel : m.kernels)
      text += fmt::format("{}{}{} {}", text.empty() ? "" : " + ",
                          kernel.count > 1 ? fmt::format("{} × ", kernel.count) : "", kernel.name,
                          format_seconds(kernel.seconds));
    return text;
  });
}

constexpr const char* kBytesRead = "dram__bytes_read.sum";
constexpr const char* kBytesWritten = "dram__bytes_write.sum";

// What passed the memory, by its counters; 0: not counted.
double counted_bytes(const Record& record) {
  double bytes = 0;
  for (const KernelCounters& kernel : record.counters)
    for (const auto& [name, value] : kernel.values)
      if (name == kBytesRead || name == kBytesWritten) bytes += value;
  return bytes;
}

// Over the least bytes of the model.
double counted_share(const Record& record) {
  const double least = record.measurements.empty() ? 0
                                                   : record.measurements[0].bytes_read +
                                                         record.measurements[0].bytes_written;
  return least > 0 ? counted_bytes(record) / least : 0;
}

// "45 %", or "45 % / 80 %" by kernel.
std::string counted_percent(const Record& record, const std::string& counter) {
  std::string text;
  for (const KernelCounters& kernel : record.counters)
    for (const auto& [name, value] : kernel.values)
      if (name == counter) text += fmt::format("{}{:.0f} %", text.empty() ? "" : " / ", value);
  return text;
}

std::string all_counters(const Record& record) {
  std::string text;
  for (const KernelCounters& kernel : record.counters) {
    text += (text.empty() ? "" : "; ") + kernel.name;
    for (const auto& [name, value] : kernel.values) text += fmt::format(" {}={}", name, value);
  }
  return text;
}

std::string notes(const Record& record) {
  std::string text;
  for (const std::string& note : record.notes) text += (text.empty() ? "" : "; ") + note;
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

// Empty: none.
std::string bytes(std::int64_t count) {
  return count > 0 ? scaled(static_cast<double>(count), 1, {"B", "kB", "MB", "GB"}) : "";
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
      {"choice", "choice", false, true, [](R r) { return r.choice; }, [](R r) { return r.choice; },
       true},
      {"choice_cost", "cost of choice", true, true,
       [](R r) {
         if (!r.choice_cost) return std::string();
         const auto& [share, best] = *r.choice_cost;
         return share <= 0 ? "best" : fmt::format("{:+.1f} % over {}", 100 * share, best);
       },
       [](R r) { return r.choice_cost ? number(r.choice_cost->share) : ""; }, true},
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
      {"low_s", "low", true, false,
       [](R r) { return timed(r, [](M m) { return m.low > 0 ? format_seconds(m.low) : ""; }); },
       [](R r) { return timed(r, [](M m) { return m.low > 0 ? number(m.low) : ""; }); }},
      {"high_s", "high", true, false,
       [](R r) { return timed(r, [](M m) { return m.high > 0 ? format_seconds(m.high) : ""; }); },
       [](R r) { return timed(r, [](M m) { return m.high > 0 ? number(m.high) : ""; }); }},
      {"noise", "noise", true, false,
       [](R r) { return timed(r, [](M m) { return fmt::format("{:.2f} %", 100 * m.noise); }); },
       [](R r) { return timed(r, [](M m) { return number(m.noise); }); }},
      {"stopped", "stopped", false, false,
       [](R r) { return timed(r, [](M m) { return m.stopped; }); },
       [](R r) { return timed(r, [](M m) { return m.stopped; }); }},
      {"hot_s", "hot", true, true,
       [](R r) { return timed(r, [](M m) { return format_seconds(m.median); }, "hot"); },
       [](R r) { return timed(r, [](M m) { return number(m.median); }, "hot"); }, true},
      {"graph_s", "graph", true, true,
       [](R r) { return timed(r, [](M m) { return format_seconds(m.median); }, "graph"); },
       [](R r) { return timed(r, [](M m) { return number(m.median); }, "graph"); }, true},
      {"traced_s", "kernel", true, true,
       [](R r) {
         return timed(r, [](M m) { return m.traced > 0 ? format_seconds(m.traced) : ""; });
       },
       [](R r) { return timed(r, [](M m) { return m.traced > 0 ? number(m.traced) : ""; }); },
       true},
      {"offset_s", "offset", true, false,
       [](R r) { return timed(r, [](M m) { return format_seconds(m.offset); }); },
       [](R r) { return timed(r, [](M m) { return number(m.offset); }); }},
      {"kernels", "kernels", false, true, kernels, kernels, true},
      {"sm_mhz", "SM clock", true, false,
       [](R r) {
         return timed(r,
                      [](M m) { return m.sm_mhz > 0 ? fmt::format("{:.0f} MHz", m.sm_mhz) : ""; });
       },
       [](R r) { return timed(r, [](M m) { return m.sm_mhz > 0 ? number(m.sm_mhz) : ""; }); }},
      {"throttled", "throttled", true, true,
       [](R r) {
         return timed(r, [](M m) {
           return m.throttled > 0 ? fmt::format("{} of {}", m.throttled, m.samples) : "";
         });
       },
       [](R r) { return timed(r, [](M m) { return std::to_string(m.throttled); }); }, true},
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
      {"hot_fraction_of_limit", "hot, of limit", true, false,
       [](R r) { return timed(r, [](M m) { return percent(m.fraction_of_limit()); }, "hot"); },
       [](R r) { return timed(r, [](M m) { return number(m.fraction_of_limit()); }, "hot"); }},
      {"graph_fraction_of_limit", "graph, of limit", true, false,
       [](R r) { return timed(r, [](M m) { return percent(m.fraction_of_limit()); }, "graph"); },
       [](R r) { return timed(r, [](M m) { return number(m.fraction_of_limit()); }, "graph"); }},
      {"counted_bytes", "counted bytes", true, false,
       [](R r) { return r.counters.empty() ? "" : number(counted_bytes(r)); },
       [](R r) { return r.counters.empty() ? "" : number(counted_bytes(r)); }},
      {"counted_over_least", "counted/least bytes", true, true,
       [](R r) { return counted_bytes(r) > 0 ? fmt::format("{:.3f}", counted_share(r)) : ""; },
       [](R r) { return counted_bytes(r) > 0 ? number(counted_share(r)) : ""; }, true},
      {"l2_hits", "L2 hits", true, true,
       [](R r) { return counted_percent(r, "lts__t_sector_hit_rate.pct"); },
       [](R r) { return counted_percent(r, "lts__t_sector_hit_rate.pct"); }, true},
      {"tensor_pipe", "tensor pipe", true, true,
       [](R r) {
         return counted_percent(r,
                                "sm__pipe_tensor_cycles_active.avg.pct_of_peak_sustained_active");
       },
       [](R r) {
         return counted_percent(r,
                                "sm__pipe_tensor_cycles_active.avg.pct_of_peak_sustained_active");
       },
       true},
      {"occupancy", "occupancy", true, true,
       [](R r) { return counted_percent(r, "sm__warps_active.avg.pct_of_peak_sustained_active"); },
       [](R r) { return counted_percent(r, "sm__warps_active.avg.pct_of_peak_sustained_active"); },
       true},
      {"counters", "counters", false, false, all_counters, all_counters},
      {"workspace_bytes", "workspace", true, true, [](R r) { return bytes(r.workspace_bytes); },
       [](R r) { return std::to_string(r.workspace_bytes); }},
      {"peak_bytes", "peak memory", true, true, [](R r) { return bytes(r.peak_bytes); },
       [](R r) { return r.peak_bytes > 0 ? std::to_string(r.peak_bytes) : ""; }, true},
      {"numerics", "numerics", false, false, [](R r) { return r.numerics; },
       [](R r) { return r.numerics; }},
      {"repeatability", "repeatability", false, false, [](R r) { return r.repeatability; },
       [](R r) { return r.repeatability; }},
      {"missing", "not computed", false, false, missing, missing},
      {"twin", "cuda vs simt", false, false, twin, twin},
      {"notes", "notes", false, false, notes, notes},
      {"reason", "reason", false, false, [](R r) { return r.reason; },
       [](R r) { return r.reason; }},
      {"repro", "repro", false, false, [](R r) { return r.repro; }, [](R r) { return r.repro; }},
      {"environment", "environment", false, false, [](R r) { return r.environment; },
       [](R r) { return r.environment; }},
  };
  return table;
}

std::vector<const Column*> columns_shown(const std::vector<Record>& records) {
  std::vector<const Column*> shown;
  for (const Column& column : columns()) {
    const bool empty =
        column.optional && std::all_of(records.begin(), records.end(), [&](const Record& record) {
          return column.text(record).empty();
        });
    if (column.in_tables && !empty) shown.push_back(&column);
  }
  return shown;
}

}  // namespace assay
