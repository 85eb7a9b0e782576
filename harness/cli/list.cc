// assay list: what there is to run, and where. `list problems` is what other programs read.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "harness/backend/backend.h"
#include "harness/cli/commands.h"
#include "harness/core/error.h"
#include "harness/core/registry.h"
#include "harness/core/text.h"
#include "harness/engine/choice_table.h"

namespace assay {
namespace {

void list_ops() {
  for (const Op* op : ops()) {
    fmt::print("{}\n  {}\n  source: {}\n", op->name, op->formula, op->source);
    for (const DimSpec& dim : op->dims)
      fmt::print("  {:<10} dim, {}{}\n", dim.name, dim.meaning,
                 dim.default_size ? fmt::format(" (default {})", *dim.default_size) : "");
    for (const TensorDeclaration& tensor : op->tensors) {
      fmt::print("  {:<10} {}{} ({}), {}\n", tensor.name, tensor.optional ? "optional " : "",
                 tensor.role == Role::in    ? "input"
                 : tensor.role == Role::out ? "output"
                                            : "input and output",
                 join(tensor.shape), tensor.meaning);
    }
    for (const OptionSpec& option : op->options)
      fmt::print("  {:<10} option, {} (default {})\n", option.name, option.meaning,
                 str(option.default_value));
  }
}

// The families of inputs of one op, or of all.
void list_families(const std::string& name) {
  std::vector<std::string> names;
  for (const Op* op : ops()) {
    names.push_back(op->name);
    if (!name.empty() && name != op->name) continue;
    fmt::print("{}\n", op->name);
    for (const Family& family : op->families) {
      std::vector<std::string> marks;
      if (!family.exact.empty()) marks.push_back("bits of " + join(family.exact) + " demanded");
      if (family.layout == Layout::misaligned) marks.emplace_back("misaligned");
      if (family.layout == Layout::padded) marks.emplace_back("padded");
      if (!family.isolates.empty()) marks.push_back("beside " + family.isolates);
      fmt::print("  {:<14} {}{}\n", family.name, family.meaning,
                 marks.empty() ? "" : " [" + join(marks) + "]");
    }
  }
  if (!name.empty() && !find_op(name))
    throw UsageError(fmt::format("unknown op `{}`{}", name, suggestion(name, names)));
}
void list_all_families() { list_families(""); }

void list_variants() {
  std::vector<const Variant*> all = variants();
  all.insert(all.end(), auto_variants().begin(), auto_variants().end());
  std::size_t width = 0;
  for (const Variant* variant : all) width = std::max(width, variant->id().size());
  for (const Variant* variant : all)
    fmt::print("{:<{}}  {}\n", variant->id(), width, variant->summary);
}

void list_suites() {
  const SuitePath path = default_suite_path();
  for (const auto& file : path.all()) {
    // A suite with a mistake is listed with it: the others stay usable.
    try {
      fmt::print("{:<16} {:>4} problems  {}\n", file.stem().string(), load_suite(file, path).size(),
                 suite_summary(file));
    } catch (const UsageError& error) {
      fmt::print("{:<16} {}\n", file.stem().string(), error.what());
    }
  }
}

void list_devices() {
  for (Platform* platform : platforms()) {
    const std::vector<DeviceInfo> devices = platform->devices();
    if (devices.empty())
      fmt::print("{:<5} none: {}\n", name(platform->backend()), platform->why_none());
    for (const DeviceInfo& device : devices) {
      fmt::print("{:<5} {}  {}, {:.1f} GiB available, {:.0f} MiB last-level cache\n",
                 name(device.backend), device.index, device.name,
                 static_cast<double>(device.memory_bytes) / (1 << 30),
                 static_cast<double>(device.cache_bytes) / (1 << 20));
      for (const auto& [key, value] : device.facts) fmt::print("         {}: {}\n", key, value);
    }
  }
  for (const Backend backend : {Backend::cpu, Backend::simt, Backend::cuda})
    if (!find_platform(backend)) fmt::print("{:<5} not built into this binary\n", name(backend));
}

struct Listing {
  const char* name;
  void (*print)();
};
constexpr Listing kListings[] = {{"ops", list_ops},
                                 {"families", list_all_families},
                                 {"variants", list_variants},
                                 {"suites", list_suites},
                                 {"devices", list_devices}};

}  // namespace

namespace {

// A folder of the checkout: here, beside the binary, and as installed.
std::vector<std::filesystem::path> places_of(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> places = {folder};
  char self[4096];
  const ssize_t length = readlink("/proc/self/exe", self, sizeof self);
  if (length > 0) {
    const auto binary =
        std::filesystem::path(std::string(self, static_cast<std::size_t>(length))).parent_path();
    places.push_back(binary / folder);
    places.push_back(binary.parent_path() / folder);  // build/assay in a checkout
    places.push_back(binary.parent_path() / "share" / "assay" / folder);  // installed
  }
  return places;
}

}  // namespace

SuitePath default_suite_path() { return {places_of("suites")}; }

std::vector<std::filesystem::path> default_tuning_folders() { return places_of(kTuningFolder); }

int list_command(const std::string& what, const std::vector<std::string>& of) {
  if (what == "problems") {
    if (of.empty()) throw UsageError("`list problems` wants suites or problems");
    for (const Problem& problem : all_problems(of)) fmt::print("{}\n", str(problem));
    return kExitGood;
  }
  if (!of.empty()) {
    if (what != "families" || of.size() > 1)
      throw UsageError(
          fmt::format("`list {}` takes no op, `list families {}` does", what, of.front()));
    list_families(of.front());
    return kExitGood;
  }
  bool first = true;
  std::vector<std::string> names;
  for (const Listing& listing : kListings) {
    names.emplace_back(listing.name);
    if (!what.empty() && what != listing.name) continue;
    if (what.empty()) fmt::print("{}{}:\n", first ? "" : "\n", listing.name);
    listing.print();
    first = false;
  }
  if (first)
    throw UsageError(fmt::format("nothing to list named `{}`{}", what, suggestion(what, names)));
  return kExitGood;
}

}  // namespace assay
