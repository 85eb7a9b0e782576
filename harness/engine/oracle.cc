#include "harness/engine/oracle.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <stdexcept>
#include <utility>

#include "harness/core/black_box.h"
#include "harness/core/error.h"
#include "harness/core/registry.h"
#include "harness/core/spending.h"
#include "harness/engine/contract.h"

namespace assay {
namespace {

std::string input_key(const Problem& problem, const std::string& family, std::uint64_t seed) {
  return fmt::format("{} {} {}", str(problem), family, seed);
}

std::string expected_key(const Problem& problem, const std::string& family, std::uint64_t seed,
                         const Numerics& numerics) {
  return fmt::format("{}, {}", input_key(problem, family, seed), str(numerics));
}

// The problem as op.reference wants it: told what made the inputs.
Problem made_by(Problem problem, const std::string& family) {
  problem.family = family;
  return problem;
}

}  // namespace

void Oracle::turn_to(const Problem& problem) {
  const std::string text = str(problem);
  if (text == problem_) return;
  const Spending spending(Expense::memory);
  problem_ = text;
  there_.clear();
  entries_.clear();
  held_ = 0;
}

Oracle::Entry* Oracle::lookup(const std::string& key) {
  for (auto entry = entries_.begin(); entry != entries_.end(); ++entry) {
    if (entry->key != key) continue;
    entries_.splice(entries_.begin(), entries_, entry);
    return &entries_.front();
  }
  return nullptr;
}

void Oracle::insert(Entry entry) {
  const Spending spending(Expense::memory);  // giving back gigabytes takes time
  while (!entries_.empty() && held_ + entry.bytes > available_ / 2) {
    held_ -= entries_.back().bytes;
    entries_.pop_back();
  }
  held_ += entry.bytes;
  entries_.push_front(std::move(entry));
}

std::shared_ptr<const Inputs> Oracle::inputs(const Problem& problem, const std::string& family,
                                             std::uint64_t seed) {
  const std::string key = input_key(problem, family, seed);
  if (const Entry* entry = lookup(key)) return entry->inputs;
  const Spending spending(Expense::inputs);
  const Op& op = op_of(problem);
  auto made = std::make_shared<Inputs>(allocate_inputs(op, problem));
  Entry entry;
  entry.key = key;
  for (const TensorView& tensor : made->tensors) entry.bytes += tensor.spec.bytes();
  const Family* filler = op.find_family(family);
  if (!filler) throw std::out_of_range(op.name + " has no family " + family);
  const HostStage stage("making the inputs of family " + family);
  filler->fill(problem, seed, made->tensors);
  made->expect_again();
  entry.inputs = made;
  insert(std::move(entry));
  return made;
}

std::shared_ptr<const std::vector<Expected>> Oracle::expected(const Problem& problem,
                                                              const std::string& family,
                                                              std::uint64_t seed,
                                                              const Numerics& numerics) {
  const std::string key = expected_key(problem, family, seed, numerics);
  if (const Entry* entry = lookup(key)) return entry->expected;
  if (const auto known = find_there(key, nullptr);
      known != there_.end() && known->reference->is_intact()) {
    const Spending spending(Expense::transfers);
    return keep(key, known->reference->fetch());
  }
  const auto from = inputs(problem, family, seed);
  const Spending spending(Expense::reference);
  const HostStage stage("computing the reference of family " + family);
  auto made = op_of(problem).reference(made_by(problem, family), from->tensors, numerics);
  if (op_of(problem).find_family(family)->exact.empty() && !op_of(problem).is_composite) {
    const Spending checking(Expense::comparison);
    for (const Expected& output : made) {
      // The bounds of large outputs are checked where they are used: each is read only once.
      constexpr std::int64_t kLarge = 1 << 20;
      const bool is_exact = op_of(problem).is_exact(output.output);
      if (output.size >= kLarge && !is_exact) continue;
      if (const std::string wrong = contract_error(output, numerics, is_exact); !wrong.empty())
        throw std::logic_error("the contract of " + problem.op + " is wrong: " + wrong);
    }
  }
  return keep(key, std::move(made));
}

std::shared_ptr<const std::vector<Expected>> Oracle::keep(const std::string& key,
                                                          std::vector<Expected> made) {
  Entry entry;
  entry.key = key;
  for (const Expected& output : made) entry.bytes += 16 * output.size;
  entry.expected = std::make_shared<const std::vector<Expected>>(std::move(made));
  const auto kept = entry.expected;
  insert(std::move(entry));
  return kept;
}

std::int64_t Oracle::bytes_there(const Op& op, const Problem& problem) {
  double bytes = 0;  // as in bytes_needed
  for (const TensorSpec& spec : tensor_specs(op, problem))
    if (spec.role != Role::in) bytes += 16 * static_cast<double>(spec.elements());
  return bytes < 9e18 ? static_cast<std::int64_t>(bytes) : INT64_MAX;
}

std::list<Oracle::There>::iterator Oracle::find_there(const std::string& key,
                                                      const Device* device) {
  return std::find_if(there_.begin(), there_.end(), [&](const There& there) {
    return there.key == key && (!device || there.device == device);
  });
}

std::shared_ptr<DeviceReference> Oracle::expected_there(Device& device, const Problem& problem,
                                                        const std::string& family,
                                                        std::uint64_t seed,
                                                        const Numerics& numerics) {
  const std::string key = expected_key(problem, family, seed, numerics);
  if (const auto known = find_there(key, &device); known != there_.end()) {
    there_.splice(there_.begin(), there_, known);
    return known->reference;
  }
  const std::int64_t most = most_there(device.info());
  std::int64_t held = bytes_there(op_of(problem), problem);
  if (!device.judges() || held > most) return nullptr;
  const auto from = inputs(problem, family, seed);
  {
    const Spending spending(Expense::memory);
    for (auto there = there_.begin(); there != there_.end();) {
      const bool is_same = there->device == &device;
      if (is_same) held += there->reference->bytes();
      there = is_same && held > most ? there_.erase(there) : std::next(there);
    }
  }
  const Entry* const computed = lookup(key);
  std::shared_ptr<DeviceReference> made = write_there(device, [&](DeviceReference& writer) {
    if (!computed)
      return op_of(problem).write_reference(made_by(problem, family), from->tensors, numerics,
                                            writer);
    const Spending spending(Expense::transfers);
    for (const Expected& output : *computed->expected) writer.upload(output);
  });
  if (made) there_.push_front({key, &device, made});
  return made;
}

std::unique_ptr<DeviceReference> write_there(Device& device,
                                             const std::function<void(DeviceReference&)>& write) {
  auto reference = device.make_reference();
  try {
    const Spending spending(Expense::reference);
    const HostStage stage("computing a reference");
    write(*reference);
    const Spending waiting(Expense::transfers);
    reference->finish();
    return reference;
  } catch (const DeviceLost&) {
    throw;
  } catch (const EnvironmentError&) {
    return nullptr;
  }
}

void Oracle::forget(const Device& device) {
  const Spending spending(Expense::memory);
  there_.remove_if([&](const There& there) { return there.device == &device; });
}

bool Oracle::forget_broken(const Device& device) {
  const Spending spending(Expense::comparison);
  intact_on_ = &device;
  return there_.remove_if([&](const There& there) {
    return there.device == &device && !there.reference->is_intact();
  }) > 0;
}

void Oracle::begin_case(const Device& device) {
  if (intact_on_ != &device) forget_broken(device);
  intact_on_ = nullptr;
}

std::shared_ptr<const std::vector<Sensitivity>> Oracle::sensitivities(const Problem& problem,
                                                                      const std::string& family,
                                                                      std::uint64_t seed,
                                                                      const Numerics& numerics) {
  const std::string key =
      fmt::format("sensitivities {}, {}", input_key(problem, family, seed), str(numerics));
  if (const Entry* entry = lookup(key)) return entry->sensitivities;
  const auto from = inputs(problem, family, seed);
  const Spending spending(Expense::reference);
  Entry entry;
  entry.key = key;
  entry.sensitivities = std::make_shared<const std::vector<Sensitivity>>(
      op_of(problem).sensitivities(made_by(problem, family), from->tensors, numerics));
  for (const Sensitivity& sensitivity : *entry.sensitivities)
    entry.bytes += static_cast<std::int64_t>(8 * sensitivity.value.size());
  const auto made = entry.sensitivities;
  insert(std::move(entry));
  return made;
}

std::int64_t Oracle::bytes_needed(const Op& op, const Problem& problem) {
  double bytes = 0;  // sizes near 2^63 are legal text, and their sums would overflow
  for (const TensorSpec& spec : tensor_specs(op, problem)) {
    const auto tensor = static_cast<double>(spec.bytes());
    const bool is_output = spec.role != Role::in;
    bytes += is_output ? 2 * tensor + 16 * static_cast<double>(spec.elements()) : tensor;
  }
  return bytes < 9e18 ? static_cast<std::int64_t>(bytes) : INT64_MAX;
}

}  // namespace assay
