#include "harness/engine/oracle.h"

#include <fmt/format.h>

#include <stdexcept>

#include "harness/core/black_box.h"
#include "harness/core/registry.h"
#include "harness/core/spending.h"
#include "harness/engine/contract.h"

namespace assay {
namespace {

std::string input_key(const Problem& problem, const std::string& family, std::uint64_t seed) {
  return fmt::format("{} {} {}", str(problem), family, seed);
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
  const std::string key = fmt::format("{}, {}", input_key(problem, family, seed), str(numerics));
  if (const Entry* entry = lookup(key)) return entry->expected;
  const auto from = inputs(problem, family, seed);
  const Spending spending(Expense::reference);
  const HostStage stage("computing the reference of family " + family);
  auto made = std::make_shared<const std::vector<Expected>>(
      op_of(problem).reference(made_by(problem, family), from->tensors, numerics));
  if (op_of(problem).find_family(family)->exact.empty() && !op_of(problem).is_composite) {
    const Spending checking(Expense::comparison);
    for (const Expected& output : *made) {
      // The bounds of large outputs are checked where they are used: each is read only once.
      constexpr std::int64_t kLarge = 1 << 20;
      const bool is_exact = op_of(problem).is_exact(output.output);
      if (output.size >= kLarge && !is_exact) continue;
      if (const std::string wrong = contract_error(output, numerics, is_exact); !wrong.empty())
        throw std::logic_error("the contract of " + problem.op + " is wrong: " + wrong);
    }
  }
  Entry entry;
  entry.key = key;
  entry.expected = made;
  for (const Expected& output : *made) entry.bytes += 16 * output.size;
  insert(std::move(entry));
  return made;
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
