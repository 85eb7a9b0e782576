#include "harness/core/composite.h"

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <utility>

#include "harness/core/registry.h"

namespace assay {
namespace {

constexpr std::int64_t kAlignment = 256;  // of intermediates, as of tensors

std::int64_t aligned(std::int64_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

std::int64_t bytes_of(const Intermediate& intermediate) {
  return intermediate.elements * static_cast<std::int64_t>(size_of(intermediate.dtype));
}

const Variant& variant_of(const Variant& composite, const Step& step) {
  const Variant* const found = find_variant(step.problem.op, step.variant, composite.backend);
  if (found && !found->steps) return *found;
  throw std::logic_error(composite.id() + " has a step " + str(step) +
                         ", and there is no such variant");
}

std::int64_t workspace_of(const Variant& variant, const Problem& problem) {
  return variant.workspace ? variant.workspace(problem).bytes : 0;
}

std::int64_t bytes_of_intermediates(const StepList& list) {
  std::int64_t bytes = 0;
  for (const Intermediate& intermediate : list.intermediates)
    bytes += aligned(bytes_of(intermediate));
  return bytes;
}

// The intermediates, and after them what any step needs for itself.
Workspace workspace(const Variant& composite, const Problem& problem) {
  const StepList list = composite.steps(problem);
  std::int64_t most = 0;
  for (const Step& step : list.steps)
    most = std::max(most, workspace_of(variant_of(composite, step), step.problem));
  return {bytes_of_intermediates(list) + most};
}

std::string unsupported(const Variant& composite, const Problem& problem) {
  for (const Step& step : composite.steps(problem).steps) {
    const Variant& variant = variant_of(composite, step);
    const std::string why = variant.unsupported ? variant.unsupported(step.problem) : "";
    if (!why.empty()) return str(step) + ": " + why;
  }
  return "";
}

// A tensor of the step as a part of a buffer.
TensorView part_of(const Step& step, const Binding& binding, TensorSpec spec,
                   const std::vector<TensorView>& buffers) {
  const auto buffer = std::find_if(buffers.begin(), buffers.end(), [&](const TensorView& view) {
    return view.spec.name == binding.buffer;
  });
  const std::string where = str(step) + ": " + binding.tensor + " in " + binding.buffer;
  if (buffer == buffers.end()) throw std::logic_error(where + ", which is not there");
  if (buffer->spec.dtype != spec.dtype) throw std::logic_error(where + " is of another dtype");
  if (binding.first < 0 || binding.first + spec.elements() > buffer->spec.elements())
    throw std::logic_error(where + " is beyond its end");
  const std::int64_t offset = binding.first * static_cast<std::int64_t>(size_of(spec.dtype));
  return {std::move(spec), buffer->as<char>() + offset};
}

}  // namespace

std::string str(const Step& step) { return str(step.problem) + " " + step.variant; }

std::unique_ptr<const PlacedSteps> place(const Variant& composite, const Problem& problem,
                                         const Buffers& buffers) {
  auto placed = std::make_unique<PlacedSteps>();
  placed->list = composite.steps(problem);
  auto* const base = static_cast<char*>(buffers.workspace);
  std::int64_t offset = 0;
  for (const Intermediate& intermediate : placed->list.intermediates) {
    placed->intermediates.push_back(
        {{intermediate.name, Role::inout, intermediate.dtype, {intermediate.elements}, {1}},
         base + offset});
    offset += aligned(bytes_of(intermediate));
  }
  std::vector<TensorView> all(buffers.tensors.begin(), buffers.tensors.end());
  all.insert(all.end(), placed->intermediates.begin(), placed->intermediates.end());
  for (const Step& step : placed->list.steps) {
    Buffers own;
    own.workspace = base + offset;
    for (const TensorSpec& spec : tensor_specs(op_of(step.problem), step.problem)) {
      const auto binding =
          std::find_if(step.tensors.begin(), step.tensors.end(),
                       [&](const Binding& candidate) { return candidate.tensor == spec.name; });
      if (binding == step.tensors.end())
        throw std::logic_error(str(step) + ": nothing is bound to " + spec.name);
      own.tensors.add(part_of(step, *binding, spec, all));
    }
    placed->steps.push_back({&step, &variant_of(composite, step), std::move(own)});
  }
  return placed;
}

void complete_composite(Variant& composite) {
  // Each keeps what it needs to ask for the steps: the variant itself may move.
  const auto self = std::make_shared<Variant>();
  self->op = composite.op;
  self->name = composite.name;
  self->backend = composite.backend;
  self->steps = composite.steps;
  // Of the whole nothing is declared: its steps do that.
  composite.numerics = [](const Problem&) { return Numerics{}; };
  composite.unsupported = [self](const Problem& problem) { return unsupported(*self, problem); };
  composite.workspace = [self](const Problem& problem) { return workspace(*self, problem); };
  if (composite.prepare) return;  // a liar's own
  composite.prepare = [self](const Problem& problem, const Buffers& buffers) -> Launch {
    const auto placed = place(*self, problem, buffers);
    std::vector<Launch> launches;
    for (const PlacedStep& step : placed->steps)
      launches.push_back(step.variant->prepare(step.step->problem, step.buffers));
    return [launches = std::move(launches)](Stream stream) {
      for (const Launch& launch : launches) launch(stream);
    };
  };
}

}  // namespace assay
