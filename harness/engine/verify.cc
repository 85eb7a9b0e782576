#include "harness/engine/verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "harness/core/error.h"
#include "harness/core/registry.h"
#include "harness/core/text.h"
#include "harness/engine/interval.h"

namespace assay {
namespace {

// Whether an element still holds one of the fillings: it was not written.
bool is_poison(const TensorSpec& spec, const void* data, std::int64_t index) {
  const std::size_t width = size_of(spec.dtype);
  const auto* bytes =
      static_cast<const unsigned char*>(data) + static_cast<std::size_t>(index) * width;
  return std::any_of(std::begin(Verifier::kPoisons), std::end(Verifier::kPoisons),
                     [&](unsigned char poison) {
                       return std::all_of(bytes, bytes + width,
                                          [&](unsigned char byte) { return byte == poison; });
                     });
}

Check begin_check(const std::string& kind, const std::string& family, std::uint64_t seed,
                  const std::string& output) {
  Check check;
  check.kind = kind;
  check.family = family;
  check.seed = seed;
  check.output = output;
  return check;
}

}  // namespace

Verifier::Verifier(const Problem& problem, const Variant& variant, Device& device, Oracle& oracle,
                   Execution execution, TwinOutputs* twins)
    : op_(op_of(problem)),
      problem_(problem),
      variant_(variant),
      device_(device),
      oracle_(oracle),
      execution_(std::move(execution)),
      twins_(variant.backend == Backend::cpu ? nullptr : twins),
      schedules_(device.schedules()) {
  if (schedules_.empty())
    schedules_ = {""};
  else if (!execution_.schedule.empty())
    schedules_ = {execution_.schedule};
  const std::size_t families = std::max<std::size_t>(1, op_.families.size());
  runs_ = std::max(std::size(kPoisons), (schedules_.size() + families - 1) / families);
  for (const TensorSpec& spec : tensor_specs(op_, problem)) {
    if (spec.role == Role::in) continue;
    Output output;
    for (auto& storage : output.storage)
      storage = std::make_unique_for_overwrite<std::byte[]>(static_cast<std::size_t>(spec.bytes()));
    output.now = {spec, output.storage[0].get()};
    output.before = {spec, output.storage[1].get()};
    outputs_.push_back(std::move(output));
  }
}

bool Verifier::passed() const {
  return std::all_of(checks_.begin(), checks_.end(),
                     [](const Check& c) { return c.status == Status::passed; });
}

void Verifier::verify(BufferSet& set, const std::string& family, std::uint64_t seed) {
  set.upload(oracle_.inputs(problem_, family, seed)->tensors);
  const std::size_t first =
      (seed % schedules_.size()) * runs_ + std::exchange(dealt_, dealt_ + runs_);
  for (std::size_t i = 0; i < runs_; ++i) {
    const unsigned char poison = kPoisons[i % std::size(kPoisons)];
    if (!run(set, poison, schedules_[(first + i) % schedules_.size()], family, seed)) return;
    if (i == 0 && twins_ != nullptr) compare_twins(family, seed);
    if (i == 0 || variant_.repeatability != Repeatability::bitwise)
      judge_outputs("interval", family, seed);
    else
      compare_runs(family, seed);
  }
}

bool Verifier::run(BufferSet& set, unsigned char poison, const std::string& schedule,
                   const std::string& family, std::uint64_t seed) {
  const auto fail = [&](const std::string& kind, const std::string& reason) {
    Check check = begin_check(kind, family, seed, "");
    check.reason = reason;
    check.status = Status::failed;
    if (kind == "hang") check.status = Status::timeout;
    if (!schedule.empty()) check.reason += fmt::format(" [schedule {}]", schedule);
    checks_.push_back(std::move(check));
    return false;
  };
  execution_.schedule = schedule;
  execution_.seed = seed;
  device_.use_schedule(execution_);
  set.poison(poison);
  device_.synchronize();
  try {
    set.launch()(device_.stream());
    device_.synchronize();
  } catch (const KernelFault& fault) {
    return fail(fault.kind, fault.what());
  }
  if (const std::string broken = set.broken_guard(); !broken.empty()) return fail("guards", broken);
  for (Output& output : outputs_) {
    std::swap(output.now.data, output.before.data);
    set.download(output.now);
  }
  return true;
}

void Verifier::verify_timed(const BufferSet& set, const std::string& family, std::uint64_t seed) {
  for (Output& output : outputs_) set.download(output.now);
  judge_outputs("after_timing", family, seed);
}

// "O[q=0, t=5, d=17]"
std::string Verifier::place(const TensorSpec& spec, std::int64_t index) const {
  const auto declared =
      std::find_if(op_.tensors.begin(), op_.tensors.end(),
                   [&](const TensorDeclaration& t) { return t.name == spec.name; });
  const std::vector<std::int64_t> at = coordinates(spec, index);
  std::string text = spec.name + "[";
  for (std::size_t axis = 0; axis < at.size(); ++axis) {
    text += fmt::format("{}{}={}", axis > 0 ? ", " : "", lower(declared->shape[axis]), at[axis]);
  }
  return text + "]";
}

void Verifier::judge_outputs(const std::string& kind, const std::string& family,
                             std::uint64_t seed) {
  const auto expected = oracle_.expected(problem_, family, seed, variant_.numerics(problem_));
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    Output& output = outputs_[i];
    const TensorSpec& spec = output.now.spec;
    const Expected& want = expected->at(i);
    const Judgement judgement = judge(spec, output.now.data, want);
    output.nonzero += judgement.nonzero;
    output.zero_accepted += judgement.zero_accepted;

    Check check = begin_check(kind, family, seed, spec.name);
    check.elements = judgement.elements;
    check.wrong = judgement.wrong;
    check.utilisation = judgement.utilisation;
    check.error_rms = judgement.error_rms();
    check.error_normwise = judgement.error_normwise();
    if (judgement.nonzero > 0)
      check.zero_accepted =
          static_cast<double>(judgement.zero_accepted) / static_cast<double>(judgement.nonzero);
    if (judgement.worst >= 0) check.worst = element(spec, output.now.data, want, judgement.worst);
    if (judgement.wrong > 0) {
      check.status = Status::failed;
      check.reason =
          fmt::format("{} = {:.9g}{}, want {:.9g} ± {:.2g}; {} of {} elements wrong",
                      place(spec, judgement.worst), check.worst->got,
                      is_poison(spec, output.now.data, judgement.worst) ? " (not written)" : "",
                      check.worst->want, check.worst->bound, judgement.wrong, judgement.elements);
    }
    checks_.push_back(std::move(check));
  }
}

// Informative: each twin is judged by itself.
void Verifier::compare_twins(const std::string& family, std::uint64_t seed) {
  const std::string problem = str(problem_);
  if (twins_->problem != problem) *twins_ = {problem, {}};
  const auto expected = oracle_.expected(problem_, family, seed, variant_.numerics(problem_));
  for (std::size_t o = 0; o < outputs_.size(); ++o) {
    const TensorSpec& spec = outputs_[o].now.spec;
    const auto* mine = static_cast<const std::byte*>(outputs_[o].now.data);
    const auto bytes = static_cast<std::size_t>(spec.bytes());
    const auto [entry, is_first] = twins_->outputs.try_emplace(
        fmt::format("{}/{} {} {} {}", variant_.op, variant_.name, family, seed, spec.name), mine,
        mine + bytes);
    if (is_first) continue;
    std::int64_t different = 0;
    double most = 0;
    for (std::int64_t i = 0; i < spec.elements(); ++i) {
      const double a = value_at(spec, mine, i), b = value_at(spec, entry->second.data(), i);
      if (a == b || (std::isnan(a) && std::isnan(b))) continue;
      ++different;
      most = std::max(most, std::abs(a - b) / expected->at(o).bound[static_cast<std::size_t>(i)]);
    }
    Check check = begin_check("twin", family, seed, spec.name);
    check.elements = spec.elements();
    check.reason =
        fmt::format("{} of {} elements of {} differ between cuda and simt, by up to {:.3g} bounds",
                    different, check.elements, spec.name, most);
    checks_.push_back(std::move(check));
    entry->second.assign(mine, mine + bytes);
  }
}

void Verifier::compare_runs(const std::string& family, std::uint64_t seed) {
  for (const Output& output : outputs_) {
    const TensorSpec& spec = output.now.spec;
    Check check = begin_check("repeat", family, seed, spec.name);
    check.elements = spec.elements();
    if (const auto index = first_difference(spec, output.before.data, output.now.data)) {
      check.status = Status::failed;
      check.wrong = 1;
      check.reason = fmt::format(
          "{} = {:.9g} in the first run and {:.9g}{} in the second, but the variant declares "
          "bitwise repeatability",
          place(spec, *index), value_at(spec, output.before.data, *index),
          value_at(spec, output.now.data, *index),
          is_poison(spec, output.now.data, *index) ? " (not written)" : "");
    }
    checks_.push_back(std::move(check));
  }
}

void Verifier::judge_power() {
  for (const Output& output : outputs_) {
    if (!zeros_would_pass(output.zero_accepted, output.nonzero)) continue;
    const double share =
        static_cast<double>(output.zero_accepted) / static_cast<double>(output.nonzero);
    Check check{
        .kind = "power", .family = {}, .output = output.now.spec.name, .reason = {}, .worst = {}};
    check.status = Status::mistrusted;
    check.zero_accepted = share;
    check.reason = fmt::format("an output of zeros would pass for {:.1f} % of {}", 100 * share,
                               output.now.spec.name);
    checks_.push_back(std::move(check));
  }
}

}  // namespace assay
