#include "reports/jsonl.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>

#include "harness/core/error.h"
#include "harness/core/parallel.h"
#include "reports/choices.h"

namespace assay {
namespace {

using Json = nlohmann::ordered_json;

Json number(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  return value;
}

double to_double(const Json& json) {
  if (json.is_number()) return json.get<double>();
  const auto text = json.get<std::string>();
  if (text == "inf") return std::numeric_limits<double>::infinity();
  if (text == "-inf") return -std::numeric_limits<double>::infinity();
  if (text == "nan") return std::numeric_limits<double>::quiet_NaN();
  throw std::invalid_argument("`" + text + "` is no number");
}

Status to_status(const Json& json) {
  if (const auto status = parse_status(json.get<std::string>())) return *status;
  throw std::invalid_argument("unknown status " + json.dump());
}

Json to_object(const Check& check) {
  Json json = {{"kind", check.kind},
               {"family", check.family},
               {"seed", check.seed},
               {"output", check.output},
               {"status", name(check.status)},
               {"reason", check.reason},
               {"elements", check.elements},
               {"wrong", check.wrong},
               {"utilisation", number(check.utilisation)},
               {"zero_accepted", number(check.zero_accepted)},
               {"error_rms", number(check.error_rms)},
               {"error_normwise", number(check.error_normwise)}};
  if (!check.ulps.empty()) json["ulps"] = check.ulps;
  if (!check.where.empty()) json["where"] = check.where;
  if (check.worst)
    json["worst"] = {{"index", check.worst->index},
                     {"want", number(check.worst->want)},
                     {"got", number(check.worst->got)},
                     {"bound", number(check.worst->bound)},
                     {"utilisation", number(check.worst->utilisation)}};
  return json;
}

Check to_check(const Json& json) {
  Check check;
  check.kind = json.at("kind");
  check.family = json.at("family");
  check.seed = json.at("seed");
  check.output = json.at("output");
  check.status = to_status(json.at("status"));
  check.reason = json.at("reason");
  check.elements = json.at("elements");
  check.wrong = json.at("wrong");
  check.utilisation = to_double(json.at("utilisation"));
  check.zero_accepted = to_double(json.at("zero_accepted"));
  check.error_rms = to_double(json.at("error_rms"));
  check.error_normwise = to_double(json.at("error_normwise"));
  if (const auto ulps = json.find("ulps"); ulps != json.end())
    check.ulps = ulps->get<std::vector<std::int64_t>>();
  if (const auto where = json.find("where"); where != json.end())
    check.where = where->get<std::string>();
  if (const auto worst = json.find("worst"); worst != json.end())
    check.worst =
        Element{worst->at("index"), to_double(worst->at("want")), to_double(worst->at("got")),
                to_double(worst->at("bound")), to_double(worst->at("utilisation"))};
  return check;
}

// Samples on their way from one process to another; in a file they are a block of the file beside
// it.
Json to_object(const std::vector<Sample>& samples) {
  Json seconds = Json::array(), sm_mhz = Json::array(), throttled = Json::array();
  for (std::size_t i = 0; i < samples.size(); ++i) {
    seconds.push_back(number(samples[i].seconds));
    sm_mhz.push_back(number(samples[i].sm_mhz));
    if (samples[i].throttled) throttled.push_back(i);
  }
  return {{"seconds", seconds}, {"sm_mhz", sm_mhz}, {"throttled", throttled}};
}

std::vector<Sample> to_samples(const Json& json) {
  const Json& seconds = json.at("seconds");
  const Json& sm_mhz = json.at("sm_mhz");
  std::vector<Sample> samples;
  for (std::size_t i = 0; i < seconds.size(); ++i)
    samples.push_back({.seconds = to_double(seconds.at(i)),
                       .sm_mhz = static_cast<float>(to_double(sm_mhz.at(i)))});
  for (const Json& index : json.at("throttled")) samples.at(index).throttled = true;
  return samples;
}

SampleBlock to_block(const Json& json) {
  SampleBlock block;
  block.offset = json.at("offset");
  block.count = json.at("count");
  block.checksum = json.at("checksum");
  return block;
}

Json to_object(const Measurement& m) {
  Json json = {{"cache", m.cache},
               {"clock", m.clock},
               {"samples", m.samples},
               {"median_s", m.median},
               {"p05_s", m.p05},
               {"p95_s", m.p95},
               {"bytes_read", m.bytes_read},
               {"bytes_written", m.bytes_written},
               {"flops", m.flops},
               {"limit_bytes_per_s", m.limit},
               {"buffer_sets", m.buffer_sets}};
  // What is not known is left out.
  const auto add = [&](const char* key, double value) {
    if (value != 0) json[key] = number(value);
  };
  add("fma_flops_per_s", m.fma_limit);
  add("matrix_flops_per_s", m.matrix_limit);
  add("low_s", m.low);
  add("high_s", m.high);
  add("noise", m.noise);
  if (!m.stopped.empty()) json["stopped"] = m.stopped;
  add("offset_s", m.offset);
  add("floor_s", m.floor);
  add("sm_mhz", m.sm_mhz);
  if (m.throttled != 0) json["throttled"] = m.throttled;
  if (m.repeated != 0) json["repeated"] = m.repeated;
  add("traced_s", m.traced);
  for (const KernelTime& kernel : m.kernels)
    json["kernels"].push_back(
        {{"name", kernel.name}, {"count", kernel.count}, {"seconds", number(kernel.seconds)}});
  if (m.kept)
    json["samples_at"] = {
        {"offset", m.kept->offset}, {"count", m.kept->count}, {"checksum", m.kept->checksum}};
  if (!m.taken.empty()) json["taken"] = to_object(m.taken);
  return json;
}

Measurement to_measurement(const Json& json) {
  Measurement m;
  m.cache = json.at("cache");
  m.clock = json.at("clock");
  m.samples = json.at("samples");
  m.median = json.at("median_s");
  m.p05 = json.at("p05_s");
  m.p95 = json.at("p95_s");
  m.bytes_read = json.at("bytes_read");
  m.bytes_written = json.at("bytes_written");
  m.flops = json.at("flops");
  m.limit = json.at("limit_bytes_per_s");
  m.buffer_sets = json.at("buffer_sets");
  const auto get = [&](const char* key, double& value) {
    if (const auto found = json.find(key); found != json.end()) value = to_double(*found);
  };
  get("fma_flops_per_s", m.fma_limit);
  get("matrix_flops_per_s", m.matrix_limit);
  get("low_s", m.low);
  get("high_s", m.high);
  get("noise", m.noise);
  m.stopped = json.value("stopped", "");
  get("offset_s", m.offset);
  get("floor_s", m.floor);
  get("sm_mhz", m.sm_mhz);
  m.throttled = json.value("throttled", std::int64_t{0});
  m.repeated = json.value("repeated", std::int64_t{0});
  get("traced_s", m.traced);
  if (const auto kernels = json.find("kernels"); kernels != json.end())
    for (const Json& kernel : *kernels)
      m.kernels.push_back({kernel.at("name"), kernel.at("count"), to_double(kernel.at("seconds"))});
  if (const auto block = json.find("samples_at"); block != json.end()) m.kept = to_block(*block);
  if (const auto taken = json.find("taken"); taken != json.end()) m.taken = to_samples(*taken);
  return m;
}

Record to_record(const Json& json) {
  Record record;
  record.environment = json.at("environment");
  record.op = json.at("op");
  record.problem = json.at("problem");
  record.variant = json.at("variant");
  record.backend = json.at("backend");
  record.device = json.at("device");
  record.contract = json.value("contract", "");  // others' records have none
  record.numerics = json.at("numerics");
  record.repeatability = json.at("repeatability");
  record.choice = json.value("choice", "");
  record.workspace_bytes = json.at("workspace_bytes");
  record.peak_bytes = json.value("peak_bytes", std::int64_t{0});
  record.status = to_status(json.at("status"));
  record.reason = json.at("reason");
  for (const Json& check : json.at("checks")) record.checks.push_back(to_check(check));
  for (const Json& measurement : json.at("measurements"))
    record.measurements.push_back(to_measurement(measurement));
  if (const auto counters = json.find("counters"); counters != json.end())
    for (const Json& kernel : *counters) {
      record.counters.push_back({kernel.at("name"), {}});
      for (const auto& [name, value] : kernel.at("values").items())
        record.counters.back().values.emplace_back(name, to_double(value));
    }
  record.notes = json.value("notes", std::vector<std::string>{});
  record.seconds = json.at("seconds");
  if (const auto spent = json.find("spent"); spent != json.end())
    for (const auto& [name, value] : spent->items())
      record.spent.emplace_back(name, to_double(value));
  record.repro = json.at("repro");
  return record;
}

Environment to_environment(const Json& json) {
  Environment environment;
  for (const auto& [key, value] : json.at("facts").items())
    environment.facts.emplace_back(key, value.get<std::string>());
  return environment;
}

Json to_object(const TensorSpec& spec) {
  Json json = {{"name", spec.name}, {"dtype", name(spec.dtype)}, {"shape", spec.shape}};
  if (const std::string file = input_file(spec); !file.empty()) json["input"] = file;
  if (const std::string file = output_file(spec); !file.empty()) json["output"] = file;
  return json;
}

Json to_object(const ManifestDevice& device) {
  return {{"backend", device.backend},
          {"name", device.name},
          {"index", device.index},
          {"clock", device.clock},
          {"memory_bytes", device.memory_bytes},
          {"cache_bytes", device.cache_bytes},
          {"limit_bytes_per_s", device.limit},
          {"floor_s", device.floor}};
}

Json to_value(const OptionValue& value) {
  return std::visit([](const auto& held) { return Json(held); }, value);
}

// Bytes that are no UTF-8 (in a device's own words, say) must not cost the record.
std::string dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// What a line of a file turned out to be.
struct Line {
  int number = 0;
  std::string text;
  std::optional<Record> record;
  std::optional<Environment> environment;
  std::string wrong;  // why it is neither
  bool is_other_schema = false;
};

constexpr std::size_t kLinesAtATime = 4096;

void parse(Line& line, const std::string& samples, bool is_last_and_open) try {
  const Json json = Json::parse(line.text);
  const int schema = json.at("schema");
  line.is_other_schema = schema != kSchema;
  if (line.is_other_schema)
    throw std::invalid_argument(
        fmt::format("its schema is {}, this program reads {}", schema, kSchema));
  const std::string kind = json.at("kind");
  if (kind == "case") {
    line.record = to_record(json);
    for (Measurement& measurement : line.record->measurements)
      if (measurement.kept) measurement.kept->file = samples;
  } else if (kind == "environment") {
    line.environment = to_environment(json);
  } else {
    throw std::invalid_argument("unknown kind `" + kind + "`");
  }
} catch (const Json::parse_error&) {
  line.wrong = is_last_and_open ? "the line is cut off" : "not JSON";
} catch (const std::exception& error) {
  line.wrong = error.what();
}

// Thousands at a time, so that threads share the work and a long file is never in memory as text.
void read_lines(std::vector<Line>& lines, const std::string& path, bool at_end, Results& results) {
  const std::string samples = samples_path(path);
  parallel_for(
      static_cast<std::int64_t>(lines.size()), 16, [&](std::int64_t begin, std::int64_t end) {
        for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i)
          parse(lines[i], samples, at_end && i + 1 == lines.size());
      });
  for (Line& line : lines) {
    if (!line.wrong.empty()) {
      results.notes.push_back(fmt::format("{}:{}: skipped, {}", path, line.number, line.wrong));
      results.other_schemas += line.is_other_schema ? 1 : 0;
    } else if (line.record) {
      add(results, *std::move(line.record));
    } else {
      const bool known = std::any_of(
          results.environments.begin(), results.environments.end(),
          [&](const Environment& other) { return other.id() == line.environment->id(); });
      if (!known) results.environments.push_back(*std::move(line.environment));
    }
  }
  lines.clear();
}

}  // namespace

std::string to_json(const Record& record) {
  Json json = {{"schema", record.schema},
               {"kind", "case"},
               {"environment", record.environment},
               {"op", record.op},
               {"problem", record.problem},
               {"variant", record.variant},
               {"backend", record.backend},
               {"device", record.device},
               {"contract", record.contract},
               {"numerics", record.numerics},
               {"repeatability", record.repeatability},
               {"workspace_bytes", record.workspace_bytes},
               {"status", name(record.status)},
               {"reason", record.reason}};
  if (!record.choice.empty()) json["choice"] = record.choice;
  if (record.peak_bytes > 0) json["peak_bytes"] = record.peak_bytes;
  json["checks"] = Json::array();
  for (const Check& check : record.checks) json["checks"].push_back(to_object(check));
  json["measurements"] = Json::array();
  for (const Measurement& measurement : record.measurements)
    json["measurements"].push_back(to_object(measurement));
  for (const KernelCounters& kernel : record.counters) {
    Json values = Json::object();
    for (const auto& [name, value] : kernel.values) values[name] = number(value);
    json["counters"].push_back({{"name", kernel.name}, {"values", values}});
  }
  if (!record.notes.empty()) json["notes"] = record.notes;
  json["seconds"] = record.seconds;
  for (const auto& [name, value] : record.spent) json["spent"][name] = value;
  json["repro"] = record.repro;
  return dump(json);
}

std::string to_json(const Environment& environment) {
  Json json = {{"schema", environment.schema}, {"kind", "environment"}, {"id", environment.id()}};
  json["facts"] = Json::object();
  for (const auto& [key, value] : environment.facts) json["facts"][key] = value;
  return dump(json);
}

Record read_record(const std::string& line) { return to_record(Json::parse(line)); }

std::string to_json(const Manifest& manifest) {
  const Problem& problem = manifest.problem;
  Json json = {{"schema", kSchema},
               {"kind", "inputs"},
               {"problem", manifest.key.problem},
               {"family", manifest.key.family},
               {"seed", manifest.key.seed},
               {"inputs", manifest.key.inputs},
               {"op", problem.op},
               {"dims", Json::object()},
               {"options", Json::object()},
               {"tensors", Json::array()},
               {"bytes_read", manifest.cost.bytes_read},
               {"bytes_written", manifest.cost.bytes_written},
               {"flops", manifest.cost.flops}};
  for (const Problem::Dim& dim : problem.dims) json["dims"][dim.name] = dim.size;
  for (const Problem::Option& option : problem.options)
    json["options"][option.name] = to_value(option.value);
  for (const TensorSpec& spec : manifest.tensors) json["tensors"].push_back(to_object(spec));
  if (!manifest.judged_as.empty()) json["judged_as"] = manifest.judged_as;
  if (manifest.device) json["device"] = to_object(*manifest.device);
  return json.dump(1);
}

ManifestKey read_manifest(const std::string& text) try {
  const Json json = Json::parse(text);
  const int schema = json.at("schema");
  if (schema != kSchema)
    throw UsageError(fmt::format("its schema is {}, this program reads {}", schema, kSchema));
  return {json.at("problem"), json.at("family"), json.at("seed"), json.at("inputs")};
} catch (const Json::exception& error) {
  throw UsageError(fmt::format("it is not as `assay export` writes it: {}", error.what()));
}

std::string to_json(const Fields& fields) {
  Json json = Json::object();
  for (const auto& [key, value] : fields) json[key] = value;
  return dump(json);
}

Fields read_fields(const std::string& line) {
  Fields fields;
  const Json json = Json::parse(line);
  for (const auto& [key, value] : json.items()) fields.emplace_back(key, value.get<std::string>());
  return fields;
}

std::string json_ascii(std::string_view text) {
  return Json(text).dump(-1, ' ', true, Json::error_handler_t::replace);
}

Results read_results(const std::vector<std::string>& files) {
  Results results;
  for (const std::string& path : files) {
    std::ifstream file(path);
    if (!file || std::filesystem::is_directory(path)) throw UsageError("cannot read " + path);
    std::vector<Line> lines;
    std::string text;
    for (int number = 1; std::getline(file, text); ++number) {
      if (text.find_first_not_of(" \t\r") == std::string::npos) continue;
      if (lines.size() >= kLinesAtATime) read_lines(lines, path, false, results);
      lines.emplace_back();
      lines.back().number = number;
      lines.back().text = std::move(text);
    }
    // Without a line break at its end: the writer was stopped in the middle of the last line.
    read_lines(lines, path, !ends_with_break(path), results);
  }
  weigh_choices(results.records);
  return results;
}

}  // namespace assay
