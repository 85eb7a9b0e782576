#include "harness/compare/pairs.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <string_view>
#include <unordered_map>

#include "harness/core/error.h"
#include "harness/core/text.h"

namespace assay {
namespace {

// What a device of a backend is, beside its name. Values that change by themselves, such as the
// memory that is free, are not among them.
constexpr std::array kHardware = {"threads",
                                  "isa",
                                  "compute capability",
                                  "multiprocessors",
                                  "memory bus",
                                  "L2",
                                  "largest SM clock",
                                  "largest memory clock",
                                  "application SM clock",
                                  "power limit",
                                  "ECC"};

using Facts = std::map<std::string, std::string>;
using Environments = std::unordered_map<std::string, const Environment*>;

Environments by_id(const Results& results) {
  Environments found;
  for (const Environment& environment : results.environments)
    found.emplace(environment.id(), &environment);
  return found;
}

// Of the device that a record ran on: "power limit" -> "700 W".
Facts hardware(const Environments& environments, const Record& record) {
  Facts facts;
  const auto found = environments.find(record.environment);
  if (found == environments.end()) return facts;
  std::string prefix;  // "cuda:0"
  for (const auto& [key, value] : found->second->facts)
    if (value == record.device && key.starts_with(record.backend + ":")) prefix = key + " ";
  if (prefix.empty()) return facts;
  for (const auto& [key, value] : found->second->facts)
    for (const char* name : kHardware)
      if (key == prefix + name) facts[name] = value;
  return facts;
}

std::string key_of(const Record& record, const Across& across) {
  return record.id() + "\n" + record.problem + "\n" +
         (across.devices ? std::string() : record.device);
}

std::set<std::uint64_t> seeds_of(const Record& record) {
  std::set<std::uint64_t> seeds;
  for (const Check& check : record.checks)
    if (!check.family.empty()) seeds.insert(check.seed);
  return seeds;
}

std::string list(const std::set<std::uint64_t>& seeds) {
  std::vector<std::string> words;
  for (const std::uint64_t seed : seeds) words.push_back(std::to_string(seed));
  return join(words);
}

[[noreturn]] void refuse(const Record& record, const std::string& what, const char* option) {
  throw UsageError(fmt::format("{} on `{}`: {}; {} compares nevertheless", record.id(),
                               record.problem, what, option));
}

void require_hardware(const Record& record, const Facts& base, const Facts& next) {
  for (const auto& [key, value] : base) {
    const auto other = next.find(key);
    if (other != next.end() && other->second != value)
      refuse(record,
             fmt::format("not the same machine: {} of {} was {} and is {}", key, record.device,
                         value, other->second),
             "--across-devices");
  }
}

// Records of other programs name no contract; what they cost tells some.
void require_contract(const Pair& pair, int& unknown) {
  const auto& [base, next] = pair;
  if (base->contract.empty() || next->contract.empty())
    ++unknown;
  else if (base->contract != next->contract)
    refuse(*next,
           fmt::format("the contract of {} has changed ({}, now {})", next->op, base->contract,
                       next->contract),
           "--across-contracts");
  if (base->measurements.empty() || next->measurements.empty()) return;
  const Measurement& was = base->measurements.front();
  const Measurement& is = next->measurements.front();
  if (was.bytes_read != is.bytes_read || was.bytes_written != is.bytes_written ||
      was.flops != is.flops)
    refuse(*next, "the least bytes or operations of the problem have changed, so has the contract",
           "--across-contracts");
}

void require_seeds(const Pair& pair) {
  const auto base = seeds_of(*pair.base), next = seeds_of(*pair.next);
  if (!base.empty() && !next.empty() && base != next)
    refuse(*pair.next,
           fmt::format("inputs of other seeds ({}, now {}): run with the same --seed and --seeds",
                       list(base), list(next)),
           "--across-seeds");
}

std::vector<std::string> devices_of(const Results& results) {
  std::vector<std::string> names;
  for (const Record& record : results.records)
    if (std::find(names.begin(), names.end(), record.device) == names.end())
      names.push_back(record.device);
  return names;
}

[[noreturn]] void refuse_all(const Results& base, const Results& next) {
  const auto was = devices_of(base), is = devices_of(next);
  const bool share = std::any_of(is.begin(), is.end(), [&](const std::string& device) {
    return std::find(was.begin(), was.end(), device) != was.end();
  });
  if (share) throw UsageError("no case is in both files: they hold other problems or variants");
  throw UsageError(
      fmt::format("made on different machines: {}; and {}. Times of different machines say nothing "
                  "about code; --across-devices compares nevertheless",
                  join(was), join(is)));
}

}  // namespace

Pairs pair_up(const Results& base, const Results& next, const Across& across) {
  std::unordered_map<std::string, const Record*> of_base;
  Pairs result;
  for (const Record& record : base.records)
    if (!of_base.try_emplace(key_of(record, across), &record).second)
      throw UsageError(fmt::format(
          "--across-devices: {} on `{}` is there of several devices; leave one in the file",
          record.id(), record.problem));
  std::set<std::string> seen;
  for (const Record& record : next.records) {
    const std::string key = key_of(record, across);
    if (!seen.insert(key).second)
      throw UsageError(fmt::format(
          "--across-devices: {} on `{}` is there of several devices; leave one in the file",
          record.id(), record.problem));
    const auto found = of_base.find(key);
    if (found == of_base.end())
      result.only_in_next.push_back(&record);
    else
      result.pairs.push_back({found->second, &record});
  }
  for (const Record& record : base.records)
    if (!seen.contains(key_of(record, across))) result.only_in_base.push_back(&record);
  if (result.pairs.empty()) refuse_all(base, next);

  const Environments base_environments = by_id(base), next_environments = by_id(next);
  std::set<std::string> checked;  // environments and devices: few
  int unknown = 0;
  for (const Pair& pair : result.pairs) {
    if (!across.devices && checked
                               .insert(pair.base->environment + pair.next->environment +
                                       pair.next->backend + pair.next->device)
                               .second)
      require_hardware(*pair.next, hardware(base_environments, *pair.base),
                       hardware(next_environments, *pair.next));
    if (!across.contracts) require_contract(pair, unknown);
    if (!across.seeds) require_seeds(pair);
  }
  if (unknown > 0)
    result.notes.push_back(fmt::format(
        "{} case{} without the contract's id on one side (made by another program or an older "
        "one): that the contract is the same is not known",
        unknown, unknown == 1 ? "" : "s"));
  return result;
}

std::vector<std::string> environment_differences(const Results& base, const Results& next,
                                                 const std::vector<Pair>& pairs) {
  const Environments base_environments = by_id(base), next_environments = by_id(next);
  std::set<std::pair<std::string, std::string>> seen;
  std::vector<std::string> lines;
  for (const Pair& pair : pairs) {
    if (!seen.emplace(pair.base->environment, pair.next->environment).second) continue;
    const auto was = base_environments.find(pair.base->environment);
    const auto is = next_environments.find(pair.next->environment);
    if (was == base_environments.end() || is == next_environments.end()) continue;
    const Facts old_facts(was->second->facts.begin(), was->second->facts.end());
    for (const auto& [key, value] : is->second->facts) {
      if (key == "date" || key == "command" || key.ends_with("memory_bytes")) continue;
      const auto old = old_facts.find(key);
      if (old == old_facts.end() || old->second == value) continue;
      std::string line = fmt::format("{}: {}, now {}", key, old->second, value);
      if (std::find(lines.begin(), lines.end(), line) == lines.end())
        lines.push_back(std::move(line));
    }
  }
  return lines;
}

}  // namespace assay
