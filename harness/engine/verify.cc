#include "harness/engine/verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <utility>

#include "harness/core/black_box.h"
#include "harness/core/error.h"
#include "harness/core/manifest.h"
#include "harness/core/registry.h"
#include "harness/core/spending.h"
#include "harness/engine/npy.h"
#include "harness/engine/rotation.h"

namespace assay {
Verifier::Verifier(const Problem& problem, const Variant& variant, Device& device, Oracle& oracle,
                   VerifyOptions options)
    : op_(op_of(problem)),
      problem_(problem),
      variant_(variant),
      device_(device),
      oracle_(oracle),
      options_(std::move(options)),
      schedules_(device.schedules()),
      outputs_(make_outputs(op_, problem, judging_device())),
      judge_(problem, variant.numerics(problem), oracle, judging_device(),
             variant.steps ? [this](Subject subject) { return expected_of_steps(subject); }
                           : Judge::Expectation()) {
  // Steps have twins of their own.
  if (variant.backend == Backend::cpu || variant.steps) options_.twins = nullptr;
  // A case that does not need them may need all of the device's memory; and what an earlier one has
  // done to them is not held against this one.
  if (judging_device())
    oracle.begin_case(device);
  else
    oracle.forget(device);
  if (schedules_.empty())
    schedules_ = {""};
  else if (!options_.execution.schedule.empty())
    schedules_ = {options_.execution.schedule};
}

Verifier::~Verifier() {
  const Spending spending(Expense::memory);
  set_.reset();
  outputs_.clear();
  from_steps_.clear();
}

Device* Verifier::judging_device() const {
  if (variant_.steps || options_.twins != nullptr) return nullptr;
  const std::int64_t set = BufferSet::bytes_needed(variant_, problem_);
  constexpr std::int64_t kUnlimited = std::numeric_limits<std::int64_t>::max();
  const DeviceInfo& info = device_.info();
  // The oracle keeps the references of two families.
  return judging_device(problem_, set * rotation_sets(set, info.cache_bytes, kUnlimited),
                        Oracle::most_there(info) / 2);
}

Device* Verifier::judging_device(const Problem& problem, std::int64_t sets,
                                 std::int64_t most) const {
  if (!device_.judges()) return nullptr;
  std::int64_t elements = 0, outputs = 0;
  for (const TensorSpec& spec : tensor_specs(op_of(problem), problem)) {
    elements += spec.elements();
    if (spec.role != Role::in) outputs += spec.bytes();
  }
  // There must be room for a reference, for two copies of the outputs, and for what the device
  // keeps for itself.
  const std::int64_t memory = device_.info().memory_bytes;
  const std::int64_t reference = Oracle::bytes_there(op_of(problem), problem);
  const bool fits =
      reference <= std::min(most, memory) && reference + 2 * outputs + sets <= memory / 8 * 5;
  return elements > options_.judged_by_host && fits ? &device_ : nullptr;
}

BufferSet& Verifier::set() {
  if (!set_) set_.emplace(device_, variant_, problem_);
  return *set_;
}

bool Verifier::passed() const {
  return std::all_of(checks_.begin(), checks_.end(),
                     [](const Check& c) { return c.status == Status::passed; });
}

Check& Verifier::add_check(const std::string& kind, Subject subject, const std::string& output) {
  return checks_.emplace_back(make_check(kind, subject, output));
}

bool Verifier::add_checks(std::vector<Check> checks) {
  bool all_passed = true;
  for (Check& check : checks) {
    all_passed = all_passed && check.status == Status::passed;
    checks_.push_back(std::move(check));
  }
  return all_passed;
}

void Verifier::fail(const std::string& kind, Subject subject, const std::string& reason) {
  Check& check = add_check(kind, subject, "");
  check.reason = reason;
  check.status = kind == "hang" ? Status::timeout : Status::failed;
}

const std::string& Verifier::deal_schedule(std::uint64_t seed) {
  // Two runs a family and seed: the next seed goes on where this one ends.
  return schedules_[(2 * (seed % schedules_.size()) + dealt_++) % schedules_.size()];
}

void Verifier::verify(const Family& family, std::uint64_t seed, std::size_t runs) {
  const Subject subject{&family, seed};
  const auto inputs = oracle_.inputs(problem_, family.name, seed);
  std::optional<BufferSet> misplaced;
  if (family.layout != Layout::packed)
    misplaced.emplace(device_, variant_, problem_, Placement{.layout = family.layout});
  BufferSet& set = misplaced ? *misplaced : this->set();
  upload(set, *inputs, subject);
  if (variant_.steps) {
    if (from_steps_.empty()) verify_schedule(op_.families.front(), seed);
    if (!run_steps(set, subject)) return;
  }

  for (std::size_t i = 0; i < runs; ++i) {
    const unsigned char poison = kPoisons[i % std::size(kPoisons)];
    if (!run(set, poison, deal_schedule(seed), subject, outputs_)) return;
    if (i > 0 && repeats()) {
      compare_runs("repeat", "", subject);
      continue;
    }
    if (i == 0 && options_.twins != nullptr) compare_twins(subject);
    judge_outputs(variant_.steps ? "whole" : "interval", subject);
    if (i > 0) continue;
    {
      const Spending spending(Expense::comparison);
      judge_.estimate_bias(subject, written(outputs_));
    }
    if (const std::string changed = set.changed_input(*inputs); !changed.empty())
      return fail("inputs", subject, changed);
  }
  if (!family.isolates.empty() && repeats()) verify_isolation(set, subject);
}

// Large inputs take as long to the device as a reference of them to be computed: what judges the
// first run is computed meanwhile.
void Verifier::upload(BufferSet& set, const Inputs& inputs, Subject subject) {
  const auto on_its_way = variant_.steps ? nullptr : set.upload_ahead(inputs);
  if (on_its_way) judge_.prepare(subject);
  set.upload(inputs);
}

bool Verifier::run(BufferSet& set, unsigned char poison, const std::string& schedule,
                   Subject subject, Outputs& outputs, const std::string& kind_of_wrong_memory) {
  const auto failed = [&](const std::string& kind, const std::string& reason) {
    fail(kind, subject, reason + (schedule.empty() ? "" : " [schedule " + schedule + "]"));
    return false;
  };
  if (hung_) return false;
  Execution execution = options_.execution;
  execution.schedule = schedule;
  execution.seed = subject.seed;
  device_.use_schedule(execution);
  {
    const Spending poisoning(Expense::memory);
    set.poison(poison);
    device_.synchronize();
  }
  try {
    const Spending spending(Expense::kernels);
    const KernelStage stage(kind_of_wrong_memory == kFence ? kFence : "a launch",
                            subject.family->name, subject.seed);
    set.launch()(device_.stream());
    device_.synchronize();
  } catch (const KernelFault& fault) {
    hung_ = fault.kind == "hang";
    return failed(fault.kind, fault.what());
  }
  for (Output& output : outputs) output.take(set);
  if (const std::string broken = set.broken_guard(); !broken.empty())
    return failed(kind_of_wrong_memory, broken);
  return true;
}

void Verifier::judge_outputs(const std::string& kind, Subject subject) {
  const Spending spending(Expense::comparison);
  if (!add_checks(judge_.judge_run(kind, subject, written(outputs_)))) dump(subject);
}

// Once a case: the first inputs that show something wrong.
void Verifier::dump(Subject subject) {
  if (options_.dump.empty() || std::exchange(dumped_, true)) return;
  const auto expected = judge_.expected(subject);
  std::string folder = str(problem_) + " " + variant_.bare_name();
  const auto separates = [](char c) { return c == ' ' || c == '/'; };
  std::replace_if(folder.begin(), folder.end(), separates, '_');
  const std::filesystem::path path = std::filesystem::path(options_.dump) / folder /
                                     fmt::format("{}_seed{}", subject.family->name, subject.seed);
  std::error_code error;
  std::filesystem::create_directories(path, error);
  const auto inputs = oracle_.inputs(problem_, subject.family->name, subject.seed);
  for (const TensorView& input : inputs->tensors)
    write_npy(path / (input.spec.name + ".npy"), input.spec, input.data);
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    const TensorSpec& spec = outputs_[i].spec();
    const auto size = static_cast<std::size_t>(spec.elements());
    write_npy(path / output_file(spec), spec, outputs_[i].now().data);
    write_npy(path / (spec.name + "_want.npy"), spec, {expected->at(i).value.get(), size});
    write_npy(path / (spec.name + "_bound.npy"), spec, {expected->at(i).bound.get(), size});
  }
}

// Informative: each twin is judged by itself.
void Verifier::compare_twins(Subject subject) {
  const Spending spending(Expense::comparison);
  const std::string problem = str(problem_);
  if (options_.twins->problem != problem) *options_.twins = {problem, {}};
  const auto expected = judge_.expected(subject);
  for (std::size_t o = 0; o < outputs_.size(); ++o) {
    const TensorSpec& spec = outputs_[o].spec();
    if (spec.bytes() > TwinOutputs::kMost) continue;
    const auto* mine = outputs_[o].now().as<const std::byte>();
    const auto bytes = static_cast<std::size_t>(spec.bytes());
    const auto [entry, is_first] = options_.twins->outputs.try_emplace(
        fmt::format("{}/{} {} {} {}", variant_.op, variant_.name, subject.family->name,
                    subject.seed, spec.name),
        mine, mine + bytes);
    if (is_first) continue;
    std::int64_t different = 0;
    double most = 0;
    for (std::int64_t i = 0; i < spec.elements(); ++i) {
      const double a = value_at(spec, mine, i), b = value_at(spec, entry->second.data(), i);
      if (a == b || (std::isnan(a) && std::isnan(b))) continue;
      ++different;
      most = std::max(most, std::abs(a - b) / expected->at(o).bound[static_cast<std::size_t>(i)]);
    }
    Check& check = add_check("twin", subject, spec.name);
    check.elements = spec.elements();
    check.reason =
        fmt::format("{} of {} elements of {} differ between cuda and simt, by up to {:.3g} bounds",
                    different, check.elements, spec.name, most);
    entry->second.assign(mine, mine + bytes);
  }
}

void Verifier::judge_references() {
  if (oracle_.forget_broken(device_))
    fail("guards", {nullptr, 0},
         "a reference, in device memory, was overwritten: it is none of the variant's buffers");
}

void Verifier::compare_runs(const std::string& kind, const std::string& how, Subject subject) {
  const Spending spending(Expense::comparison);
  for (const Output& output : outputs_) {
    const TensorSpec& spec = output.spec();
    Check& check = add_check(kind, subject, spec.name);
    check.elements = spec.elements();
    if (output.is_unchanged()) continue;
    const void* const now = output.now().data;
    const void* const before = output.before().data;
    const auto index = first_difference(spec, before, now);
    check.status = Status::failed;
    check.wrong = 1;
    if (!index) {
      check.reason =
          fmt::format("{} changed while it was looked at{}: work on it went on", spec.name, how);
      continue;
    }
    check.reason = fmt::format(
        "{} = {:.9g}{} in one run and {:.9g}{} in the next{}, but the variant declares {} "
        "repeatability",
        place(op_, spec, *index), value_at(spec, before, *index),
        if_unwritten(spec, before, *index), value_at(spec, now, *index),
        if_unwritten(spec, now, *index), how, name(variant_.repeatability));
  }
}

}  // namespace assay
