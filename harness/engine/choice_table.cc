#include "harness/engine/choice_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <fstream>
#include <iterator>
#include <memory>
#include <tuple>

#include "harness/core/error.h"
#include "harness/core/registry.h"
#include "harness/core/text.h"
#include "harness/engine/suite.h"

namespace assay {
namespace {

constexpr std::string_view kDevice = "# device: ";
constexpr std::string_view kArrow = " -> ";

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\r')) text.remove_suffix(1);
  return text;
}

auto order(const ChoiceRow& row) {
  std::vector<std::int64_t> sizes;
  for (const Problem::Dim& dim : row.problem.dims) sizes.push_back(dim.size);
  return std::tuple(row.problem.op, row.problem.dtype, sizes, str(row.problem));
}

ChoiceRow parse_row(std::string_view line, const std::string& origin, int line_number) {
  const auto wrong = [&](const std::string& what) {
    return UsageError(fmt::format("{}:{}: {}", origin, line_number, what));
  };
  const std::size_t comment = std::min(line.find('#'), line.size());
  const std::string_view row = trimmed(line.substr(0, comment));
  const std::size_t arrow = row.find(kArrow);
  if (arrow == std::string_view::npos)
    throw wrong("want `PROBLEM -> VARIANT` or `PROBLEM -> VARIANT[NAME=NUMBER ...]`");
  ChoiceRow result;
  try {
    const std::vector<Problem> problems =
        parse_line(trimmed(row.substr(0, arrow)), origin, line_number);
    if (problems.size() != 1) throw wrong("want one problem");
    result.problem = problems.front();
    result.choice = parse_choice(trimmed(row.substr(arrow + kArrow.size())));
  } catch (const SyntaxError&) {
    throw;  // says where
  } catch (const UsageError& error) {
    throw wrong(error.what());
  }
  if (!has_variant(result.problem.op, result.choice.variant))
    throw wrong(fmt::format("{} has no variant `{}`; `assay tune` makes the table anew",
                            result.problem.op, result.choice.variant));
  if (comment < line.size()) result.comment = trimmed(line.substr(comment + 1));
  return result;
}

Job with(const Job& job, const Variant& variant, const Configuration& configuration) {
  Job result = job;
  result.variant = &variant;
  result.problem.configuration = configuration;
  result.alias = kAuto;
  return result;
}

}  // namespace

bool has_variant(const std::string& op, const std::string& name) {
  return std::any_of(variants().begin(), variants().end(), [&](const Variant* variant) {
    return variant->op == op && variant->name == name;
  });
}

std::string str(const Choice& choice) {
  if (choice.configuration.empty()) return choice.variant;
  return choice.variant + "[" + str(choice.configuration) + "]";
}

Choice parse_choice(std::string_view text) {
  const std::size_t open = text.find('[');
  if (open == std::string_view::npos) return {std::string(text), {}};
  if (text.back() != ']') throw UsageError(fmt::format("`{}` has no `]` at its end", text));
  return {std::string(text.substr(0, open)),
          parse_configuration(text.substr(open + 1, text.size() - open - 2))};
}

const ChoiceRow* ChoiceTable::find(const Problem& problem) const {
  const std::string wanted = str(problem);
  for (const ChoiceRow& row : rows)
    if (str(row.problem) == wanted) return &row;
  return nullptr;
}

void ChoiceTable::put(ChoiceRow row) {
  const auto place =
      std::lower_bound(rows.begin(), rows.end(), row,
                       [](const ChoiceRow& a, const ChoiceRow& b) { return order(a) < order(b); });
  if (place != rows.end() && order(*place) == order(row))
    *place = std::move(row);
  else
    rows.insert(place, std::move(row));
}

std::string str(const ChoiceTable& table) {
  std::string text = fmt::format(
      "{}{}\n# What `auto` runs on it, made by `assay tune`; rows may be edited and removed.\n",
      kDevice, table.device);
  for (const ChoiceRow& row : table.rows) {
    text += str(row.problem) + std::string(kArrow) + str(row.choice);
    if (!row.comment.empty()) text += "  # " + row.comment;
    text += '\n';
  }
  return text;
}

ChoiceTable parse_choice_table(std::string_view text, const std::string& origin) {
  ChoiceTable table;
  int line_number = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view line = trimmed(text.substr(begin, end - begin));
    begin = end + 1;
    ++line_number;
    if (line.starts_with(kDevice)) table.device = trimmed(line.substr(kDevice.size()));
    if (!line.empty() && line.front() != '#') table.put(parse_row(line, origin, line_number));
  }
  if (table.device.empty())
    throw UsageError(fmt::format("{}: no line `{}NAME`: of which device is it?", origin, kDevice));
  return table;
}

std::string choice_file(std::string_view device) { return slug(device) + ".tuning"; }

ChoiceTable load_choice_table(const std::vector<std::filesystem::path>& folders,
                              const std::string& device) {
  for (const std::filesystem::path& folder : folders) {
    const std::filesystem::path path = folder / choice_file(device);
    std::ifstream file(path);
    if (!file) continue;
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    ChoiceTable table = parse_choice_table(text, path.string());
    if (table.device != device)
      throw UsageError(fmt::format("{} is of {}, not of {}", path.string(), table.device, device));
    return table;
  }
  return {device, {}};
}

double distance(const Problem& a, const Problem& b) {
  constexpr double kOtherDtype = 8, kOtherTensor = 3, kOtherOption = 0.5;  // octaves
  double sum = a.dtype == b.dtype ? 0 : kOtherDtype;
  for (std::size_t i = 0; i < a.tensors.size(); ++i) {
    const bool same =
        a.tensors[i].present == b.tensors[i].present &&
        (!a.tensors[i].present || size_of(a.tensors[i].dtype) == size_of(b.tensors[i].dtype));
    if (!same) sum += kOtherTensor;
  }
  for (std::size_t i = 0; i < a.dims.size(); ++i)
    sum += std::abs(std::log2(static_cast<double>(a.dims[i].size)) -
                    std::log2(static_cast<double>(b.dims[i].size)));
  for (std::size_t i = 0; i < a.options.size(); ++i)
    if (a.options[i].value != b.options[i].value) sum += kOtherOption;
  return sum;
}

const std::vector<const Variant*>& auto_variants() {
  // Never destroyed, like what is registered.
  static const std::vector<const Variant*>& all = *new std::vector<const Variant*>([] {
    std::vector<const Variant*> made;
    for (const Variant* variant : variants()) {
      if (variant->backend == Backend::simt) continue;  // never timed
      if (!made.empty() && made.back()->op == variant->op &&
          made.back()->backend == variant->backend)
        continue;
      auto choosing = std::make_unique<Variant>();
      choosing->op = variant->op;
      choosing->name = kAuto;
      choosing->summary = "what `assay tune` found to be the fastest on the device";
      choosing->backend = variant->backend;
      made.push_back(choosing.release());
    }
    return made;
  }());
  return all;
}

bool is_auto(const Variant& variant) { return variant.name == kAuto; }

Job resolve(const Job& job, const ChoiceTable& table) {
  std::vector<std::pair<double, const ChoiceRow*>> near;
  for (const ChoiceRow& row : table.rows)
    if (row.problem.op == job.problem.op)
      near.emplace_back(distance(row.problem, job.problem), &row);
  std::stable_sort(near.begin(), near.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  for (const auto& [unused, row] : near) {
    const Variant* const variant =
        find_variant(job.problem.op, row->choice.variant, job.variant->backend);
    if (!variant) continue;
    Job chosen = with(job, *variant, row->choice.configuration);
    if (why_unsupported(chosen).empty()) return chosen;
  }
  const Variant* first = nullptr;
  for (const char* name : {"fused", "tensor_core", "split_kv", "naive"}) {
    const Variant* const variant = find_variant(job.problem.op, name, job.variant->backend);
    if (!variant) continue;
    Job chosen = with(job, *variant, {});
    chosen.note =
        fmt::format("auto: {} on {} is not tuned, `assay tune PROBLEM` does that; it took {}",
                    job.problem.op, job.device->name, variant->name);
    if (why_unsupported(chosen).empty()) return chosen;
    if (!first) first = variant;
  }
  if (!first) throw UsageError("auto: " + job.problem.op + " has no variant to choose");
  return with(job, *first, {});
}

}  // namespace assay
