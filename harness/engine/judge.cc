#include "harness/engine/judge.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "harness/core/registry.h"
#include "harness/core/text.h"
#include "harness/engine/clusters.h"
#include "harness/engine/contract.h"

namespace assay {
namespace {

// Whether a family demands the bits of an output. Parts in 16 bits need not hold what their mean
// does.
bool is_exact_in(const Family& family, const std::string& output, const Numerics& numerics) {
  return numerics.partials == DType::f32 &&
         std::find(family.exact.begin(), family.exact.end(), output) != family.exact.end();
}

std::vector<std::int64_t> without_trailing_zeros(const UlpHistogram& ulps) {
  std::vector<std::int64_t> counts(ulps.begin(), ulps.end());
  while (!counts.empty() && counts.back() == 0) counts.pop_back();
  return counts;
}

const Expected& expected_of(const std::string& output, const std::vector<Expected>& expected) {
  for (const Expected& candidate : expected)
    if (candidate.output == output) return candidate;
  throw std::logic_error("the reference has no output named " + output);
}

}  // namespace

const char* if_unwritten(const TensorSpec& spec, const void* data, std::int64_t index) {
  const std::size_t width = size_of(spec.dtype);
  const auto* bytes =
      static_cast<const unsigned char*>(data) + static_cast<std::size_t>(index) * width;
  const bool is_poison =
      std::any_of(std::begin(kPoisons), std::end(kPoisons), [&](unsigned char poison) {
        return std::all_of(bytes, bytes + width,
                           [&](unsigned char byte) { return byte == poison; });
      });
  return is_poison ? " (not written)" : "";
}

std::vector<std::string> axes(const Op& op, const TensorSpec& spec) {
  const auto declared =
      std::find_if(op.tensors.begin(), op.tensors.end(),
                   [&](const TensorDeclaration& t) { return t.name == spec.name; });
  std::vector<std::string> names;
  for (const std::string& axis : declared->shape) names.push_back(lower(axis));
  return names;
}

int batch_axis(const Op& op, const TensorSpec& spec) {
  const std::vector<std::string> names = axes(op, spec);
  const auto found = std::find(names.begin(), names.end(), lower(op.batch_dim));
  return found == names.end() ? -1 : static_cast<int>(found - names.begin());
}

std::string place(const Op& op, const TensorSpec& spec, std::int64_t index) {
  const std::vector<std::string> names = axes(op, spec);
  const std::vector<std::int64_t> at = coordinates(spec, index);
  std::string text = spec.name + "[";
  for (std::size_t axis = 0; axis < at.size(); ++axis)
    text += fmt::format("{}{}={}", axis > 0 ? ", " : "", names[axis], at[axis]);
  return text + "]";
}

Check make_check(const std::string& kind, Subject subject, const std::string& output) {
  Check check;
  check.kind = kind;
  check.family = subject.family ? subject.family->name : "";
  check.seed = subject.seed;
  check.output = output;
  return check;
}

Judge::Judge(const Problem& problem, const Numerics& numerics, Oracle& oracle, Device* device,
             Expectation expectation)
    : op_(op_of(problem)),
      problem_(problem),
      numerics_(numerics),
      oracle_(oracle),
      device_(device),
      expectation_(std::move(expectation)) {}

std::shared_ptr<const std::vector<Expected>> Judge::expected(Subject subject) const {
  return expectation_ ? expectation_(subject)
                      : oracle_.expected(problem_, subject.family->name, subject.seed, numerics_);
}

void Judge::prepare(Subject subject) const {
  if (!expected_there(subject)) expected(subject);
}

std::shared_ptr<DeviceReference> Judge::expected_there(Subject subject) const {
  if (!device_ || expectation_) return nullptr;
  return oracle_.expected_there(*device_, problem_, subject.family->name, subject.seed, numerics_);
}

std::vector<Check> Judge::judge_run(const std::string& kind, Subject subject,
                                    const std::vector<Written>& outputs) {
  // Asked for only where one is needed.
  std::shared_ptr<const std::vector<Expected>> expected;
  std::shared_ptr<DeviceReference> there;
  std::vector<Check> checks;
  for (const Written& output : outputs) {
    const std::string& name = output.spec().name;
    const auto key = std::make_tuple(subject.family->name, subject.seed, name);
    Power& tally = tallies_[name].power[subject.family->name];
    if (const auto known = passed_.find(key);
        known != passed_.end() && output.print() && known->second.print == *output.print()) {
      tally += known->second.power;
      checks.push_back(known->second.check);
      checks.back().kind = kind == "interval" && is_exact("", subject, name) ? "exact" : kind;
      continue;
    }
    if (output.there() && !there && !expected) there = expected_there(subject);
    if (!there && !expected) expected = this->expected(subject);
    Power power;
    checks.push_back(judge_output(kind, "", subject, output, {expected.get(), there.get()}, power));
    tally += power;
    if (checks.back().status == Status::passed && output.print())
      passed_[key] = {*output.print(), checks.back(), power};
  }
  return checks;
}

std::vector<Check> Judge::judge_derived(const std::string& kind, const std::string& label,
                                        Subject subject, const std::vector<Written>& outputs,
                                        const Wanted& wanted) {
  std::vector<Check> checks;
  Power unused;
  for (const Written& output : outputs)
    checks.push_back(judge_output(kind, label, subject, output, wanted, unused));
  return checks;
}

bool Judge::is_exact(const std::string& label, Subject subject, const std::string& output) const {
  return op_.is_composite || op_.is_exact(output) ||
         (label.empty() && is_exact_in(*subject.family, output, numerics_));
}

Check Judge::judge_output(const std::string& kind, const std::string& label, Subject subject,
                          const Written& output, const Wanted& wanted, Power& power) {
  const TensorSpec& spec = output.spec();
  const bool exact = is_exact(label, subject, spec.name);
  const double least = least_relative_bound(numerics_);
  const Expected* want = wanted.there ? nullptr : &expected_of(spec.name, *wanted.expected);
  const Judgement judgement = wanted.there ? wanted.there->judge(spec, output.there(), exact, least)
                                           : judge(spec, output.on_host(), *want, exact, least);
  power = {judgement.nonzero, judgement.zero_accepted};

  Check check = make_check(exact && kind == "interval" ? "exact" : kind, subject, spec.name);
  check.elements = judgement.elements;
  check.wrong = judgement.wrong;
  check.utilisation = judgement.utilisation;
  check.error_rms = judgement.error_rms();
  check.error_normwise = judgement.error_normwise();
  check.ulps = without_trailing_zeros(judgement.ulps);
  if (judgement.nonzero > 0)
    check.zero_accepted =
        static_cast<double>(judgement.zero_accepted) / static_cast<double>(judgement.nonzero);
  if (judgement.worst >= 0 && wanted.there) {
    const auto [value, bound] = wanted.there->at(spec.name, judgement.worst);
    check.worst = element(spec, judgement.worst, value, bound, output.value(judgement.worst));
  } else if (judgement.worst >= 0) {
    check.worst = element(spec, output.on_host(), *want, judgement.worst);
  }
  const bool is_unsound =
      judgement.unsound > 0 && label.empty() && !exact && subject.family->exact.empty();
  if (judgement.wrong == 0 && !is_unsound) return check;

  // What is wrong, element by element, the host finds out.
  std::shared_ptr<const std::vector<Expected>> fetched;
  if (!want) {
    fetched = label.empty() ? expected(subject)
                            : std::make_shared<const std::vector<Expected>>(wanted.there->fetch());
    want = &expected_of(spec.name, *fetched);
  }
  if (is_unsound)
    throw std::logic_error("the contract of " + problem_.op +
                           " is wrong: " + contract_error(*want, numerics_, false));
  const void* const got = output.on_host();
  constexpr std::size_t kMost = 1 << 20;  // enough to see a pattern
  check.status = Status::failed;
  check.where =
      describe_clusters(spec, axes(op_, spec), wrong_elements(spec, got, *want, exact, kMost));
  check.reason = fmt::format("{}{} = {:.9g}{}, want {:.9g}{}; {} of {} elements wrong, {}", label,
                             place(op_, spec, judgement.worst), check.worst->got,
                             if_unwritten(spec, got, judgement.worst), check.worst->want,
                             exact ? " to the bit" : fmt::format(" ± {:.2g}", check.worst->bound),
                             judgement.wrong, judgement.elements, check.where);
  if (exact && subject.family->read_instead) {
    const auto inputs = oracle_.inputs(problem_, subject.family->name, subject.seed);
    const std::string instead = subject.family->read_instead(problem_, inputs->tensors, spec.name,
                                                             judgement.worst, check.worst->got);
    if (!instead.empty()) check.reason += "; " + instead;
  }
  return check;
}

void Judge::estimate_bias(Subject subject, const std::vector<Written>& outputs) {
  // At sizes where a straightforward computation of the sensitivities takes no time.
  constexpr std::int64_t kMost = 1 << 20;
  std::int64_t elements = 0;
  for (const TensorSpec& spec : tensor_specs(op_, problem_)) elements += spec.elements();
  if (!op_.sensitivities || elements > kMost) return;
  const auto expected = this->expected(subject);
  const auto sensitivities =
      oracle_.sensitivities(problem_, subject.family->name, subject.seed, numerics_);
  for (const Sensitivity& sensitivity : *sensitivities) {
    for (const Written& output : outputs) {
      const TensorSpec& spec = output.spec();
      if (spec.name != sensitivity.output) continue;
      bias_.add(spec, output.on_host(), expected_of(spec.name, *expected), sensitivity,
                batch_axis(op_, spec));
      tallies_[spec.name].elements += spec.elements();
    }
  }
}

std::vector<Check> Judge::judge_bias() const {
  std::vector<Check> checks;
  for (const Slope& slope : bias_.slopes()) {
    Check& check = checks.emplace_back(make_check("bias", {nullptr, 0}, slope.output));
    check.elements = tallies_.at(slope.output).elements;
    if (!slope.biased()) continue;
    check.status = Status::failed;
    check.reason = fmt::format(
        "the errors of {} grow with its {}: as if that were wrong by a factor of 1{:+.3g} (± "
        "{:.2g} "
        "over {:.0f} slices; the declared arithmetic explains {:.2g})",
        slope.output, slope.sensitivity, slope.estimate, slope.standard_error, slope.slices,
        slope.allowance);
  }
  return checks;
}

std::vector<Check> Judge::judge_power() const {
  const bool is_coarse = numerics_.probabilities != DType::f32 || numerics_.weights != DType::f32 ||
                         numerics_.partials != DType::f32;
  std::vector<Check> checks;
  for (const TensorSpec& spec : tensor_specs(op_, problem_)) {
    const auto tally = tallies_.find(spec.name);
    if (tally == tallies_.end()) continue;
    std::vector<Power> families;
    Power all;
    for (const auto& [family, power] : tally->second.power) {
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
    Check& check = checks.emplace_back(make_check("power", {nullptr, 0}, spec.name));
    check.status = Status::mistrusted;
    check.zero_accepted = all.share();
    check.reason = fmt::format("an output of zeros would pass for {:.1f} % of {}",
                               100 * check.zero_accepted, spec.name);
    if (silent > 0)
      check.reason += fmt::format(", without the {} of {} families where it is more", silent,
                                  tally->second.power.size());
  }
  return checks;
}

}  // namespace assay
