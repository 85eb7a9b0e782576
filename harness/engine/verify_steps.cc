// Verification of composites. Errors of a step are judged where they arise, from the inputs that it
// had: a bound through a whole schedule would explain anything. What that leaves open is whether
// the right steps are done: the schedule, replayed in the references' arithmetic, must be the op.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <stdexcept>
#include <utility>

#include "harness/core/black_box.h"
#include "harness/core/composite.h"
#include "harness/core/error.h"
#include "harness/core/parallel.h"
#include "harness/core/registry.h"
#include "harness/core/spending.h"
#include "harness/engine/replay.h"
#include "harness/engine/verify.h"

namespace assay {
namespace {

// The inputs of a step, as device memory has them now. They may still be on their way to the host
// while it does something else.
class FetchedInputs {
 public:
  FetchedInputs(Device& device, const PlacedStep& step)
      : device_(device), inputs_(allocate_inputs(op_of(step.step->problem), step.step->problem)) {
    const Spending spending(Expense::transfers);
    // Small ones first: they come at once, and would wait for those before them.
    std::vector<TensorView> inputs(inputs_.tensors.begin(), inputs_.tensors.end());
    std::stable_sort(inputs.begin(), inputs.end(), [](const TensorView& a, const TensorView& b) {
      return a.spec.bytes() < b.spec.bytes();
    });
    try {
      for (const TensorView& input : inputs)
        device_.enqueue_download(input.data, step.buffers[input.spec.name].data,
                                 input.spec.bytes());
    } catch (...) {
      wait_noexcept();
      throw;
    }
  }
  ~FetchedInputs() { wait_noexcept(); }
  FetchedInputs(const FetchedInputs&) = delete;
  FetchedInputs& operator=(const FetchedInputs&) = delete;

  const Tensors& wait() {
    const Spending spending(Expense::transfers);
    device_.synchronize_stream();
    return inputs_.tensors;
  }

 private:
  void wait_noexcept() noexcept {
    try {
      device_.synchronize_stream();
    } catch (const std::exception& error) {
      static_cast<void>(error);  // whoever runs something next is told
    }
  }

  Device& device_;
  Inputs inputs_;
};

// Everything that steps may change, byte by byte, while that is little.
class Surroundings {
 public:
  static constexpr std::int64_t kMost = 4 << 20;  // bytes

  Surroundings(Device& device, const Buffers& buffers, const PlacedSteps& placed)
      : device_(device) {
    views_.assign(buffers.tensors.begin(), buffers.tensors.end());
    views_.insert(views_.end(), placed.intermediates.begin(), placed.intermediates.end());
    std::int64_t bytes = 0;
    for (const TensorView& view : views_) bytes += view.spec.span_bytes();
    if (bytes > kMost) views_.clear();
    for (const TensorView& view : views_) contents_.push_back(look(view));
  }

  // What has changed since the last call beside the outputs of this step; empty: nothing.
  std::string changed_by(const PlacedStep& step) {
    std::string what;
    for (std::size_t i = 0; i < views_.size(); ++i) {
      std::vector<char> now = look(views_[i]);
      const auto* const begin = views_[i].as<char>();
      for (const TensorView& tensor : step.buffers.tensors) {
        const std::int64_t at = tensor.as<char>() - begin;
        if (tensor.spec.role == Role::in || at < 0 || at >= views_[i].spec.span_bytes()) continue;
        std::copy_n(now.begin() + at, tensor.spec.bytes(), contents_[i].begin() + at);
      }
      const auto [a, b] = std::mismatch(now.begin(), now.end(), contents_[i].begin());
      if (a != now.end() && what.empty())
        what = fmt::format("{} has changed byte {} of {}, which is none of its outputs",
                           str(*step.step), a - now.begin(), views_[i].spec.name);
      contents_[i] = std::move(now);
    }
    return what;
  }

 private:
  std::vector<char> look(const TensorView& view) const {
    std::vector<char> bytes(static_cast<std::size_t>(view.spec.span_bytes()));
    device_.download(bytes.data(), view.data, static_cast<std::int64_t>(bytes.size()));
    return bytes;
  }

  Device& device_;
  std::vector<TensorView> views_;
  std::vector<std::vector<char>> contents_;
};

// Adds what a step's check found to that of the steps of the same op before it.
void merge(const Check& check, Check& all) {
  const double total = static_cast<double>(all.elements + check.elements);
  if (total > 0) {
    const double share = static_cast<double>(check.elements) / total;
    all.error_rms = std::sqrt((1 - share) * all.error_rms * all.error_rms +
                              share * check.error_rms * check.error_rms);
    all.zero_accepted = (1 - share) * all.zero_accepted + share * check.zero_accepted;
  }
  all.error_normwise = std::max(all.error_normwise, check.error_normwise);
  all.elements += check.elements;
  all.wrong += check.wrong;
  all.ulps.resize(std::max(all.ulps.size(), check.ulps.size()));
  for (std::size_t i = 0; i < check.ulps.size(); ++i) all.ulps[i] += check.ulps[i];
  if (all.status == Status::passed && check.status != Status::passed) {
    all.status = check.status;
    all.reason = check.reason;
    all.where = check.where;
    all.worst = check.worst;
  } else if (all.status == Status::passed && check.utilisation >= all.utilisation) {
    all.worst = check.worst;
  }
  all.utilisation = std::max(all.utilisation, check.utilisation);
}

}  // namespace

std::shared_ptr<const std::vector<Expected>> Verifier::expected_of_steps(Subject subject) const {
  const auto found = from_steps_.find({subject.family->name, subject.seed});
  if (found == from_steps_.end())
    throw std::logic_error("the steps were not run on family " + subject.family->name);
  return found->second;
}

bool Verifier::run_steps(BufferSet& set, Subject subject) {
  if (from_steps_.contains({subject.family->name, subject.seed})) return true;
  set.poison(kPoisons[0]);
  Execution execution = options_.execution;
  execution.schedule = schedules_.front();
  execution.seed = subject.seed;
  device_.use_schedule(execution);
  device_.synchronize();
  const auto placed = place(variant_, problem_, set.buffers());
  Surroundings surroundings(device_, set.buffers(), *placed);
  std::map<std::string, Check> checks;  // by op and output
  std::string strayed;
  std::size_t number = 0;
  std::unique_ptr<FetchedInputs> next;
  for (const PlacedStep& step : placed->steps) {
    const Problem& problem = step.step->problem;
    const std::string label =
        fmt::format("step {} of {}, {}: ", ++number, placed->steps.size(), str(*step.step));
    const auto fetched = next ? std::move(next) : std::make_unique<FetchedInputs>(device_, step);
    const Tensors& inputs = fetched->wait();
    try {
      const Spending spending(Expense::kernels);
      const KernelStage stage("a step", subject.family->name, subject.seed);
      step.variant->prepare(problem, step.buffers)(device_.stream());
      device_.synchronize();
    } catch (const KernelFault& fault) {
      hung_ = fault.kind == "hang";
      fail(fault.kind, subject, label + fault.what());
      return false;
    }
    Device* const judging = judging_device(problem, BufferSet::bytes_needed(variant_, problem_),
                                           device_.info().memory_bytes);
    Outputs outputs = make_outputs(op_of(problem), problem, judging);
    for (Output& output : outputs) output.take(device_, step.buffers[output.spec().name].data);
    // While the reference of this step is computed.
    if (number < placed->steps.size())
      next = std::make_unique<FetchedInputs>(device_, placed->steps[number]);
    const Numerics numerics = step.variant->numerics(problem);
    const Op& op = op_of(problem);
    const auto there = judging
                           ? write_there(*judging,
                                         [&](ExpectedWriter& writer) {
                                           op.write_reference(problem, inputs, numerics, writer);
                                         })
                           : nullptr;
    std::vector<Expected> expected;
    if (!there) {
      const Spending spending(Expense::reference);
      const HostStage stage("computing the reference of a step");
      expected = op.reference(problem, inputs, numerics);
    }
    const Spending spending(Expense::comparison);
    for (const Check& check :
         Judge(problem, numerics, oracle_)
             .judge_derived("step", label, subject, written(outputs), {&expected, there.get()})) {
      const std::string name = problem.op + "." + check.output;
      merge(check, checks.try_emplace(name, make_check("step", subject, name)).first->second);
    }
    if (const std::string changed = surroundings.changed_by(step);
        !changed.empty() && strayed.empty())
      strayed = label + changed;
  }
  std::vector<Check> all;
  for (auto& [name, check] : checks) all.push_back(std::move(check));
  add_checks(std::move(all));
  if (!strayed.empty()) fail("guards", subject, strayed);

  auto expected = std::make_shared<std::vector<Expected>>();
  for (Output& output : outputs_) {
    const TensorSpec& spec = output.spec();
    output.take(set);
    const Spending spending(Expense::comparison);
    Expected& left = expected->emplace_back(spec.name, spec.elements());
    dispatch(spec.dtype, [&](auto type) {
      const auto* const from = output.now().template as<const typename decltype(type)::type>();
      parallel_for(spec.elements(), 1 << 14, [&](std::int64_t begin, std::int64_t end) {
        for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i) {
          left.value[i] = to_float(from[i]);
          left.bound[i] = 0;
        }
      });
    });
  }
  from_steps_[{subject.family->name, subject.seed}] = std::move(expected);
  return true;
}

void Verifier::verify_schedule(const Family& family, std::uint64_t seed) {
  const Spending spending(Expense::reference);
  const HostStage stage("replaying the schedule");
  const Subject subject{&family, seed};
  const Problem problem = shortened(problem_, 2, 8, DType::f32);
  const auto inputs = oracle_.inputs(problem, family.name, seed);
  const Replay replay(variant_, problem, inputs->tensors, Inside::exact);

  // Between steps all is rounded to fp32, and nothing else: a few units of 2^-24, grown by how much
  // later steps depend on earlier ones. A schedule that is wrong anywhere is wrong by percents.
  constexpr double kMost = 1e-4;
  for (const Expected& want : op_.reference(problem, inputs->tensors, {})) {
    Check& check = add_check("schedule", subject, want.output);
    check.elements = want.size;
    check.error_normwise = normwise_error(replay[want.output], want);
    if (check.error_normwise <= kMost) continue;  // false for a NaN
    check.status = Status::failed;
    check.wrong = 1;
    check.reason = fmt::format(
        "the steps of `{}` are not the op: done without roundings they leave a {} that is off by "
        "{:.2g} of its norm",
        str(problem), want.output, check.error_normwise);
  }
}

}  // namespace assay
