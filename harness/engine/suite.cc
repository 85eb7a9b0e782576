#include "harness/engine/suite.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <optional>
#include <set>

#include "harness/core/registry.h"
#include "harness/core/text.h"

namespace assay {
namespace {

constexpr std::size_t kMaxProblemsOfALine = 100'000;

// One line with its place, for errors.
struct Line {
  std::string_view text;
  const std::string& origin;
  int number;

  [[noreturn]] void fail(std::size_t column, const std::string& message) const {
    throw SyntaxError(fmt::format("{}:{}:{}: {}\n  {}\n  {:>{}}", origin, number, column + 1,
                                  message, text, "^", column + 1));
  }
};

struct Word {
  std::string_view text;
  std::size_t column;
};

std::vector<Word> words(std::string_view line) {
  std::vector<Word> result;
  const std::size_t end = std::min(line.find('#'), line.size());
  for (std::size_t i = 0; i < end;) {
    if (line[i] == ' ' || line[i] == '\t' || line[i] == '\r') {
      ++i;
      continue;
    }
    const std::size_t start = i;
    while (i < end && line[i] != ' ' && line[i] != '\t' && line[i] != '\r') ++i;
    result.push_back({line.substr(start, i - start), start});
  }
  return result;
}

std::vector<Word> split(Word list, char separator) {
  std::vector<Word> result;
  for (std::size_t start = 0;;) {
    const std::size_t end = std::min(list.text.find(separator, start), list.text.size());
    result.push_back({list.text.substr(start, end - start), list.column + start});
    if (end == list.text.size()) return result;
    start = end + 1;
  }
}

template <class Number>
std::optional<Number> number(std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

std::int64_t size_of_dim(const Line& line, Word word, std::string_view dim) {
  const auto value = number<std::int64_t>(word.text);
  if (!value) {
    const bool digits =
        !word.text.empty() && word.text.find_first_not_of("0123456789") == std::string_view::npos;
    line.fail(word.column,
              digits ? fmt::format("{}={} does not fit in 64 bits", dim, word.text)
                     : fmt::format("`{}` is no size: {} takes whole numbers, 1,37 or ranges, 2:33, "
                                   "2:33:5 or 1:128:*2",
                                   word.text, dim));
  }
  if (*value <= 0) line.fail(word.column, fmt::format("{}={}: a dim is at least 1", dim, *value));
  return *value;
}

// "7", "2:33", "2:33:5", "1:128:*2"
std::vector<std::int64_t> sizes(const Line& line, Word word, std::string_view dim) {
  const std::vector<Word> parts = split(word, ':');
  if (parts.size() > 3)
    line.fail(parts[3].column, "a range is first:last, first:last:step or first:last:*factor");
  const std::int64_t first = size_of_dim(line, parts[0], dim);
  if (parts.size() == 1) return {first};
  const std::int64_t last = size_of_dim(line, parts[1], dim);
  if (last < first)
    line.fail(parts[1].column, fmt::format("the range ends before it begins: {}:{}", first, last));
  bool multiply = false;
  std::int64_t step = 1;
  if (parts.size() == 3) {
    Word text = parts[2];
    multiply = text.text.starts_with('*');
    if (multiply) text = {text.text.substr(1), text.column + 1};
    step = size_of_dim(line, text, dim);
    if (multiply && step < 2) line.fail(text.column, "a factor is at least 2");
  }
  std::vector<std::int64_t> result;
  for (std::int64_t value = first;;) {
    if (result.size() == kMaxProblemsOfALine)
      line.fail(word.column, fmt::format("more than {} sizes in one range", kMaxProblemsOfALine));
    result.push_back(value);
    const bool overflow = multiply ? __builtin_mul_overflow(value, step, &value)
                                   : __builtin_add_overflow(value, step, &value);
    if (overflow || value > last) return result;
  }
}

DType dtype_value(const Line& line, Word word) {
  if (const auto dtype = parse_dtype(word.text)) return *dtype;
  line.fail(word.column,
            fmt::format("unknown dtype `{}`{}", word.text, suggestion(word.text, dtype_names())));
}

OptionValue option_value(const Line& line, Word word, const OptionSpec& spec) {
  const auto bad = [&](const std::string& wanted) -> OptionValue {
    line.fail(word.column, fmt::format("{}={}: {} is {}", spec.name, word.text, spec.name, wanted));
  };
  if (std::holds_alternative<bool>(spec.default_value)) {
    if (word.text != "0" && word.text != "1") return bad("0 or 1");
    return word.text == "1";
  }
  if (std::holds_alternative<std::int64_t>(spec.default_value)) {
    const auto value = number<std::int64_t>(word.text);
    if (!value || static_cast<double>(*value) < spec.min || static_cast<double>(*value) > spec.max)
      return bad(fmt::format("a whole number from {} to {}", spec.min, spec.max));
    return *value;
  }
  if (std::holds_alternative<double>(spec.default_value)) {
    const auto value = number<double>(word.text);
    if (!value || !(*value >= spec.min && *value <= spec.max))
      return bad(fmt::format("a number from {} to {}", spec.min, spec.max));
    return *value;
  }
  return std::string(word.text);
}

// The place of a family of inputs among those of the op.
std::size_t family_value(const Line& line, Word word, const Op& op) {
  std::vector<std::string> names;
  for (const Family& family : op.families) {
    if (family.name == word.text) return names.size();
    names.push_back(family.name);
  }
  const std::string near = suggestion(word.text, names);
  const std::string all = ", one of: " + join(names);
  line.fail(word.column, fmt::format("{} has no family of inputs `{}`{}{}", op.name, word.text,
                                     near, near == all ? "" : all));
}

// What one value of one key does to a problem.
struct Setting {
  enum class Kind { dtype, tensor, dim, option, family } kind;
  std::size_t place = 0;  // in the contract's list of that kind
  DType dtype = DType::f32;
  bool present = true, dtype_named = false;
  std::int64_t size = 0;
  OptionValue option;
};

struct Axis {
  std::vector<Setting> settings;
};

// Finds a key in the contract and reads its values.
Axis parse_axis(const Line& line, const Op& op, Word key, Word values) {
  Axis axis;
  for (const Word value : split(values, ',')) {
    if (value.text.empty())
      line.fail(value.column, fmt::format("a value of {} is missing here", key.text));
    if (key.text == "dtype") {
      axis.settings.push_back(
          {.kind = Setting::Kind::dtype, .dtype = dtype_value(line, value), .option = {}});
      continue;
    }
    if (key.text == "family") {
      axis.settings.push_back(
          {.kind = Setting::Kind::family, .place = family_value(line, value, op), .option = {}});
      continue;
    }
    bool known = false;
    for (std::size_t i = 0; i < op.dims.size() && !known; ++i) {
      if (op.dims[i].name != key.text) continue;
      known = true;
      for (const std::int64_t size : sizes(line, value, key.text))
        axis.settings.push_back(
            {.kind = Setting::Kind::dim, .place = i, .size = size, .option = {}});
    }
    for (std::size_t i = 0; i < op.tensors.size() && !known; ++i) {
      if (lower(op.tensors[i].name) != key.text) continue;
      known = true;
      Setting setting{.kind = Setting::Kind::tensor, .place = i, .option = {}};
      const bool zero_or_one = value.text == "0" || value.text == "1";
      if (zero_or_one && op.tensors[i].optional) {
        setting.present = value.text == "1";
      } else {
        setting.dtype = dtype_value(line, value);
        setting.dtype_named = true;
      }
      axis.settings.push_back(setting);
    }
    for (std::size_t i = 0; i < op.options.size() && !known; ++i) {
      if (op.options[i].name != key.text) continue;
      known = true;
      axis.settings.push_back({.kind = Setting::Kind::option,
                               .place = i,
                               .option = option_value(line, value, op.options[i])});
    }
    if (known) continue;
    std::vector<std::string> keys = {"dtype"};
    for (const auto& dim : op.dims) keys.push_back(dim.name);
    for (const auto& tensor : op.tensors) keys.push_back(lower(tensor.name));
    for (const auto& option : op.options) keys.push_back(option.name);
    keys.push_back("family");
    line.fail(key.column, fmt::format("{} has no dim, tensor or option `{}`{}", op.name, key.text,
                                      suggestion(key.text, keys)));
  }
  return axis;
}

// The problem that results from one setting of each key.
Problem make_problem(const Op& op, const std::vector<const Setting*>& settings) {
  DType dtype = DType::f32;
  for (const Setting* setting : settings)
    if (setting->kind == Setting::Kind::dtype) dtype = setting->dtype;
  Problem problem = default_problem(op, dtype);
  for (const Setting* setting : settings) {
    switch (setting->kind) {
      case Setting::Kind::dtype:
        break;
      case Setting::Kind::family:
        problem.family = op.families[setting->place].name;
        break;
      case Setting::Kind::tensor:
        set_tensor(op, problem, op.tensors[setting->place].name, setting->present,
                   setting->dtype_named ? std::optional(setting->dtype) : std::nullopt);
        break;
      case Setting::Kind::dim:
        set_dim(problem, op.dims[setting->place].name, setting->size);
        break;
      case Setting::Kind::option:
        set_option(op, problem, op.options[setting->place].name, setting->option);
        break;
    }
  }
  return problem;
}

std::vector<Problem> parse_words(const Line& line, const std::vector<Word>& all) {
  if (all.empty()) return {};
  const Op* op = find_op(all[0].text);
  if (!op) {
    std::vector<std::string> names;
    for (const Op* known : ops()) names.push_back(known->name);
    line.fail(all[0].column,
              fmt::format("unknown op `{}`{}", all[0].text, suggestion(all[0].text, names)));
  }
  std::vector<Axis> axes;
  std::set<std::string_view> seen;
  for (std::size_t i = 1; i < all.size(); ++i) {
    const std::size_t equals = all[i].text.find('=');
    if (equals == std::string_view::npos || equals == 0)
      line.fail(all[i].column, fmt::format("`{}` is not of the form key=value", all[i].text));
    const Word key{all[i].text.substr(0, equals), all[i].column};
    if (!seen.insert(key.text).second)
      line.fail(key.column, fmt::format("{} is given twice", key.text));
    axes.push_back(
        parse_axis(line, *op, key, {all[i].text.substr(equals + 1), all[i].column + equals + 1}));
  }
  for (const DimSpec& dim : op->dims)
    if (!dim.default_size && !seen.count(dim.name))
      line.fail(all.back().column + all.back().text.size(),
                fmt::format("{} needs the dim {} ({})", op->name, dim.name, dim.meaning));

  std::vector<Problem> problems;
  std::vector<std::size_t> at(axes.size(), 0);
  for (;;) {
    std::vector<const Setting*> chosen;
    for (std::size_t i = 0; i < axes.size(); ++i) chosen.push_back(&axes[i].settings[at[i]]);
    problems.push_back(make_problem(*op, chosen));
    try {
      tensor_specs(*op, problems.back());  // refuses sizes that overflow
    } catch (const UsageError& error) {
      line.fail(all[0].column, error.what());
    }
    if (problems.size() > kMaxProblemsOfALine)
      line.fail(all[0].column,
                fmt::format("this line means more than {} problems", kMaxProblemsOfALine));
    std::size_t axis = axes.size();
    while (axis > 0 && ++at[axis - 1] == axes[axis - 1].settings.size()) at[--axis] = 0;
    if (axis == 0) return problems;
  }
}

void load(const std::filesystem::path& file, const SuitePath& path,
          std::vector<std::filesystem::path>& open, std::vector<Problem>& problems,
          std::set<std::string>& seen) {
  std::ifstream stream(file);
  if (!stream) throw UsageError("cannot read the suite " + file.string());
  open.push_back(std::filesystem::weakly_canonical(file));
  const std::string origin = file.string();
  std::string text;
  for (int number = 1; std::getline(stream, text); ++number) {
    const Line line{text, origin, number};
    const std::vector<Word> all = words(text);
    if (!all.empty() && all[0].text == "include") {
      if (all.size() != 2) line.fail(all[0].column, "`include` takes one suite name or path");
      std::filesystem::path included;
      try {
        SuitePath beside = path;  // an include is sought beside the suite that names it first
        beside.folders.insert(beside.folders.begin(), file.parent_path());
        included = beside.find(all[1].text);
      } catch (const UsageError& error) {
        line.fail(all[1].column, error.what());
      }
      if (std::find(open.begin(), open.end(), std::filesystem::weakly_canonical(included)) !=
          open.end())
        line.fail(all[1].column, fmt::format("`{}` includes itself", all[1].text));
      load(included, path, open, problems, seen);
      continue;
    }
    for (Problem& problem : parse_words(line, all))
      if (seen.insert(str(problem)).second) problems.push_back(std::move(problem));
  }
  open.pop_back();
}

}  // namespace

std::vector<Problem> parse_line(std::string_view text, const std::string& origin, int line_number) {
  return parse_words({text, origin, line_number}, words(text));
}

Problem parse_problem(std::string_view text) {
  const std::string origin = "problem";
  const Line line{text, origin, 1};
  std::vector<Problem> problems = parse_words(line, words(text));
  if (problems.size() != 1)
    line.fail(0, fmt::format("this means {} problems, not one", problems.size()));
  return std::move(problems.front());
}

std::filesystem::path SuitePath::find(std::string_view name) const {
  if (name.find('/') != std::string_view::npos || name.ends_with(".suite")) {
    if (std::filesystem::is_regular_file(name)) return name;
    for (const auto& folder : folders)
      if (std::filesystem::is_regular_file(folder / name)) return folder / name;
    throw UsageError(fmt::format("no suite file {}", name));
  }
  std::vector<std::string> names;
  for (const auto& file : all()) {
    if (file.stem() == name) return file;
    names.push_back(file.stem().string());
  }
  throw UsageError(fmt::format("unknown suite `{}`{}", name, suggestion(name, names)));
}

std::vector<std::filesystem::path> SuitePath::all() const {
  std::vector<std::filesystem::path> files;
  std::set<std::string> names;
  for (const auto& folder : folders) {
    std::error_code none;
    for (const auto& entry : std::filesystem::directory_iterator(folder, none))
      if (entry.path().extension() == ".suite" && names.insert(entry.path().stem().string()).second)
        files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end(),
            [](const auto& a, const auto& b) { return a.stem() < b.stem(); });
  return files;
}

std::vector<Problem> load_suite(const std::filesystem::path& file, const SuitePath& path) {
  std::vector<Problem> problems;
  std::vector<std::filesystem::path> open;
  std::set<std::string> seen;
  load(file, path, open, problems, seen);
  return problems;
}

std::string suite_summary(const std::filesystem::path& file) {
  std::ifstream stream(file);
  std::string line;
  if (!std::getline(stream, line) || !line.starts_with("#")) return "";
  return line.substr(std::min(line.find_first_not_of("# "), line.size()));
}

}  // namespace assay
