#include "harness/engine/verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <utility>

#include "harness/core/black_box.h"
#include "harness/core/error.h"
#include "harness/core/registry.h"
#include "harness/core/text.h"
#include "harness/engine/clusters.h"
#include "harness/engine/npy.h"

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

const char* if_unwritten(const TensorSpec& spec, const void* data, std::int64_t index) {
  return is_poison(spec, data, index) ? " (not written)" : "";
}

// Parts in 16 bits need not hold what their mean does.
bool is_exact(const Family& family, const std::string& output, const Numerics& numerics) {
  return numerics.partials == DType::f32 &&
         std::find(family.exact.begin(), family.exact.end(), output) != family.exact.end();
}

std::vector<std::int64_t> without_trailing_zeros(const UlpHistogram& ulps) {
  std::vector<std::int64_t> counts(ulps.begin(), ulps.end());
  while (!counts.empty() && counts.back() == 0) counts.pop_back();
  return counts;
}

}  // namespace

Verifier::Verifier(const Problem& problem, const Variant& variant, Device& device, Oracle& oracle,
                   VerifyOptions options)
    : op_(op_of(problem)),
      problem_(problem),
      variant_(variant),
      device_(device),
      oracle_(oracle),
      options_(std::move(options)),
      schedules_(device.schedules()),
      outputs_(make_outputs(op_, problem)) {
  if (variant.backend == Backend::cpu) options_.twins = nullptr;
  if (schedules_.empty())
    schedules_ = {""};
  else if (!options_.execution.schedule.empty())
    schedules_ = {options_.execution.schedule};
}

Verifier::Outputs Verifier::make_outputs(const Op& op, const Problem& problem) {
  Outputs outputs;
  for (const TensorSpec& spec : tensor_specs(op, problem)) {
    if (spec.role == Role::in) continue;
    Output output;
    for (auto& storage : output.storage)
      storage = std::make_unique_for_overwrite<std::byte[]>(static_cast<std::size_t>(spec.bytes()));
    output.now = {spec, output.storage[0].get()};
    output.before = {spec, output.storage[1].get()};
    outputs.push_back(std::move(output));
  }
  return outputs;
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
  Check& check = checks_.emplace_back();
  check.kind = kind;
  check.family = subject.family ? subject.family->name : "";
  check.seed = subject.seed;
  check.output = output;
  return check;
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
  set.upload(inputs->tensors);

  for (std::size_t i = 0; i < runs; ++i) {
    const unsigned char poison = kPoisons[i % std::size(kPoisons)];
    if (!run(set, poison, deal_schedule(seed), subject, outputs_)) return;
    if (i > 0 && repeats()) {
      compare_runs("repeat", "", subject);
      continue;
    }
    if (i == 0 && options_.twins != nullptr) compare_twins(subject);
    judge_outputs("interval", subject);
    if (i > 0) continue;
    estimate_bias(subject);
    if (const std::string changed = set.changed_input(inputs->tensors); !changed.empty())
      return fail("inputs", subject, changed);
  }
  if (!family.isolates.empty() && repeats()) verify_isolation(set, subject);
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
  set.poison(poison);
  device_.synchronize();
  try {
    const KernelStage stage(kind_of_wrong_memory == kFence ? kFence : "a launch",
                            subject.family->name, subject.seed);
    set.launch()(device_.stream());
    device_.synchronize();
  } catch (const KernelFault& fault) {
    hung_ = fault.kind == "hang";
    return failed(fault.kind, fault.what());
  }
  for (Output& output : outputs) {
    std::swap(output.now.data, output.before.data);
    set.download(output.now);
  }
  if (const std::string broken = set.broken_guard(); !broken.empty())
    return failed(kind_of_wrong_memory, broken);
  return true;
}

void Verifier::judge_outputs(const std::string& kind, Subject subject) {
  const auto expected =
      oracle_.expected(problem_, subject.family->name, subject.seed, variant_.numerics(problem_));
  judge_outputs(kind, "", subject, outputs_, *expected);
}

void Verifier::judge_outputs(const std::string& kind, const std::string& label, Subject subject,
                             Outputs& outputs, const std::vector<Expected>& expected) {
  bool wrong = false;
  const Numerics numerics = variant_.numerics(problem_);
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    Output& output = outputs[i];
    const TensorSpec& spec = output.now.spec;
    const Expected& want = expected.at(i);
    const bool exact = label.empty() && is_exact(*subject.family, spec.name, numerics);
    const Judgement judgement = judge(spec, output.now.data, want, exact);
    Power& power = output.power[subject.family->name];
    power.nonzero += judgement.nonzero;
    power.zero_accepted += judgement.zero_accepted;

    Check& check = add_check(exact && kind == "interval" ? "exact" : kind, subject, spec.name);
    check.elements = judgement.elements;
    check.wrong = judgement.wrong;
    check.utilisation = judgement.utilisation;
    check.error_rms = judgement.error_rms();
    check.error_normwise = judgement.error_normwise();
    check.ulps = without_trailing_zeros(judgement.ulps);
    if (judgement.nonzero > 0)
      check.zero_accepted =
          static_cast<double>(judgement.zero_accepted) / static_cast<double>(judgement.nonzero);
    if (judgement.worst >= 0) check.worst = element(spec, output.now.data, want, judgement.worst);
    if (judgement.wrong == 0) continue;

    wrong = true;
    constexpr std::size_t kMost = 1 << 20;  // enough to see a pattern
    check.status = Status::failed;
    check.where = describe_clusters(spec, axes(spec),
                                    wrong_elements(spec, output.now.data, want, exact, kMost));
    check.reason =
        fmt::format("{}{} = {:.9g}{}, want {:.9g}{}; {} of {} elements wrong, {}", label,
                    place(spec, judgement.worst), check.worst->got,
                    if_unwritten(spec, output.now.data, judgement.worst), check.worst->want,
                    exact ? " to the bit" : fmt::format(" ± {:.2g}", check.worst->bound),
                    judgement.wrong, judgement.elements, check.where);
    if (exact && subject.family->read_instead) {
      const auto inputs = oracle_.inputs(problem_, subject.family->name, subject.seed);
      const std::string instead = subject.family->read_instead(problem_, inputs->tensors, spec.name,
                                                               judgement.worst, check.worst->got);
      if (!instead.empty()) check.reason += "; " + instead;
    }
  }
  if (wrong && label.empty()) dump(subject, expected);
}

// Once a case: the first inputs that show something wrong.
void Verifier::dump(Subject subject, const std::vector<Expected>& expected) {
  if (options_.dump.empty() || std::exchange(dumped_, true)) return;
  std::string folder = str(problem_) + " " + variant_.bare_name();
  std::replace_if(folder.begin(), folder.end(), [](char c) { return c == ' ' || c == '/'; }, '_');
  const std::filesystem::path path = std::filesystem::path(options_.dump) / folder /
                                     fmt::format("{}_seed{}", subject.family->name, subject.seed);
  std::error_code error;
  std::filesystem::create_directories(path, error);
  const auto inputs = oracle_.inputs(problem_, subject.family->name, subject.seed);
  for (const TensorView& input : inputs->tensors)
    write_npy(path / (input.spec.name + ".npy"), input.spec, input.data);
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    const TensorSpec& spec = outputs_[i].now.spec;
    const auto size = static_cast<std::size_t>(spec.elements());
    write_npy(path / (spec.name + ".npy"), spec, outputs_[i].now.data);
    write_npy(path / (spec.name + "_want.npy"), spec, {expected[i].value.get(), size});
    write_npy(path / (spec.name + "_bound.npy"), spec, {expected[i].bound.get(), size});
  }
}

void Verifier::estimate_bias(Subject subject) {
  // At sizes where a straightforward computation of the sensitivities takes no time.
  constexpr std::int64_t kMost = 1 << 20;
  std::int64_t elements = 0;
  for (const TensorSpec& spec : tensor_specs(op_, problem_)) elements += spec.elements();
  if (!op_.sensitivities || elements > kMost) return;
  const Numerics numerics = variant_.numerics(problem_);
  const auto expected = oracle_.expected(problem_, subject.family->name, subject.seed, numerics);
  const auto sensitivities =
      oracle_.sensitivities(problem_, subject.family->name, subject.seed, numerics);
  for (const Sensitivity& sensitivity : *sensitivities) {
    for (std::size_t i = 0; i < outputs_.size(); ++i) {
      const TensorSpec& spec = outputs_[i].now.spec;
      if (spec.name != sensitivity.output) continue;
      bias_.add(spec, outputs_[i].now.data, expected->at(i), sensitivity, batch_axis(spec));
      outputs_[i].elements += spec.elements();
    }
  }
}

void Verifier::judge_bias() {
  for (const Slope& slope : bias_.slopes()) {
    Check& check = add_check("bias", {nullptr, 0}, slope.output);
    for (const Output& output : outputs_)
      if (output.now.spec.name == slope.output) check.elements = output.elements;
    if (!slope.biased()) continue;
    check.status = Status::failed;
    check.reason = fmt::format(
        "the errors of {} grow with its {}: as if that were wrong by a factor of 1{:+.3g} (± "
        "{:.2g} "
        "over {:.0f} slices; the declared arithmetic explains {:.2g})",
        slope.output, slope.sensitivity, slope.estimate, slope.standard_error, slope.slices,
        slope.allowance);
  }
}

void Verifier::judge_power() {
  const Numerics numerics = variant_.numerics(problem_);
  const bool is_coarse = numerics.probabilities != DType::f32 || numerics.weights != DType::f32 ||
                         numerics.partials != DType::f32;
  for (const Output& output : outputs_) {
    std::vector<Power> families;
    Power all;
    for (const auto& [family, power] : output.power) {
      families.push_back(power);
      all += power;
    }
    std::sort(families.begin(), families.end(),
              [](const Power& a, const Power& b) { return a.share() < b.share(); });
    // Some inputs are beyond a coarse arithmetic: with logits of hundreds, 16-bit weights explain
    // any output. Those families say nothing of such variants; at least one in four must.
    const std::size_t most_silent = is_coarse ? 3 * families.size() / 4 : 0;
    std::size_t silent = 0;
    for (; silent < most_silent && all.zeros_pass(); ++silent) {
      all -= families.back();
      families.pop_back();
    }
    if (!all.zeros_pass()) continue;
    Check& check = add_check("power", {nullptr, 0}, output.now.spec.name);
    check.status = Status::mistrusted;
    check.zero_accepted = all.share();
    check.reason = fmt::format("an output of zeros would pass for {:.1f} % of {}",
                               100 * check.zero_accepted, output.now.spec.name);
    if (silent > 0)
      check.reason += fmt::format(", without the {} of {} families where it is more", silent,
                                  output.power.size());
  }
}

// Informative: each twin is judged by itself.
void Verifier::compare_twins(Subject subject) {
  const std::string problem = str(problem_);
  if (options_.twins->problem != problem) *options_.twins = {problem, {}};
  const auto expected =
      oracle_.expected(problem_, subject.family->name, subject.seed, variant_.numerics(problem_));
  for (std::size_t o = 0; o < outputs_.size(); ++o) {
    const TensorSpec& spec = outputs_[o].now.spec;
    const auto* mine = static_cast<const std::byte*>(outputs_[o].now.data);
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

void Verifier::compare_runs(const std::string& kind, const std::string& how, Subject subject) {
  for (const Output& output : outputs_) {
    const TensorSpec& spec = output.now.spec;
    Check& check = add_check(kind, subject, spec.name);
    check.elements = spec.elements();
    const auto index = first_difference(spec, output.before.data, output.now.data);
    if (!index) continue;
    check.status = Status::failed;
    check.wrong = 1;
    check.reason = fmt::format(
        "{} = {:.9g}{} in one run and {:.9g}{} in the next{}, but the variant declares {} "
        "repeatability",
        place(spec, *index), value_at(spec, output.before.data, *index),
        if_unwritten(spec, output.before.data, *index), value_at(spec, output.now.data, *index),
        if_unwritten(spec, output.now.data, *index), how, name(variant_.repeatability));
  }
}

std::vector<std::string> Verifier::axes(const TensorSpec& spec) const {
  const auto declared =
      std::find_if(op_.tensors.begin(), op_.tensors.end(),
                   [&](const TensorDeclaration& t) { return t.name == spec.name; });
  std::vector<std::string> names;
  for (const std::string& axis : declared->shape) names.push_back(lower(axis));
  return names;
}

int Verifier::batch_axis(const TensorSpec& spec) const {
  const std::vector<std::string> names = axes(spec);
  const auto found = std::find(names.begin(), names.end(), lower(op_.batch_dim));
  return found == names.end() ? -1 : static_cast<int>(found - names.begin());
}

// "O[q=0, t=5, d=17]"
std::string Verifier::place(const TensorSpec& spec, std::int64_t index) const {
  const std::vector<std::string> names = axes(spec);
  const std::vector<std::int64_t> at = coordinates(spec, index);
  std::string text = spec.name + "[";
  for (std::size_t axis = 0; axis < at.size(); ++axis)
    text += fmt::format("{}{}={}", axis > 0 ? ", " : "", names[axis], at[axis]);
  return text + "]";
}

}  // namespace assay
