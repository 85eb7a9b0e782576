// Checks that run a variant on inputs derived from others: metamorphic relations, slices of the
// batch dim by themselves, NaNs in one of them.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <type_traits>
#include <utility>

#include "harness/core/error.h"
#include "harness/core/parallel.h"
#include "harness/core/registry.h"
#include "harness/core/spending.h"
#include "harness/engine/verify.h"

namespace assay {
namespace {

std::vector<Expected> copy(const std::vector<Expected>& from) {
  std::vector<Expected> result;
  for (const Expected& output : from) {
    const auto size = static_cast<std::size_t>(output.size);
    Expected& made = result.emplace_back(output.output, output.size);
    std::copy_n(output.value.get(), size, made.value.get());
    std::copy_n(output.bound.get(), size, made.bound.get());
  }
  return result;
}

// Copies the slices `chosen` along `axis` of one tensor to another of the same shape but for that
// axis.
void gather(const TensorView& from, const TensorView& to, int axis,
            const std::vector<std::int64_t>& chosen) {
  const auto at = static_cast<std::size_t>(axis);
  const std::int64_t width = static_cast<std::int64_t>(size_of(from.spec.dtype));
  const std::int64_t slice = from.spec.strides[at] * width;
  const std::int64_t outer = from.spec.elements() * width / (slice * from.spec.shape[at]);
  const auto* source = static_cast<const std::byte*>(from.data);
  auto* target = static_cast<std::byte*>(to.data);
  for (std::int64_t o = 0; o < outer; ++o) {
    for (const std::int64_t index : chosen) {
      std::memcpy(target, source + (o * from.spec.shape[at] + index) * slice,
                  static_cast<std::size_t>(slice));
      target += slice;
    }
  }
}

// The elements whose bits differ, without those that should be NaN: by what is expected of `a`, or,
// where it has been judged and is right, by `a` itself (null).
struct Differing {
  std::int64_t count = 0, first = -1;
};
Differing differing_numbers(const TensorView& a, const TensorView& b, const Expected* expected) {
  std::vector<Differing> parts(static_cast<std::size_t>(num_threads()));
  dispatch(a.spec.dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    using Bits = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint16_t>;
    const Bits *const left = a.as<const Bits>(), *const right = b.as<const Bits>();
    const auto is_nan = [&](std::int64_t i) {
      return std::isnan(expected ? expected->value[static_cast<std::size_t>(i)]
                                 : static_cast<double>(to_float(a.as<const T>()[i])));
    };
    parallel_for(a.spec.elements(), 1 << 14, [&](std::int64_t begin, std::int64_t end, int part) {
      Differing& mine = parts[static_cast<std::size_t>(part)];
      for (std::int64_t i = begin; i < end; ++i) {
        if (left[i] == right[i] || is_nan(i)) continue;
        if (mine.count++ == 0) mine.first = i;
      }
    });
  });
  Differing all;
  for (const Differing& part : parts) {
    if (all.first < 0) all.first = part.first;
    all.count += part.count;
  }
  return all;
}

// Whether the bounds that go with `original` serve the derived run, too: relations allow for the
// rescales of a larger problem, not for other arithmetic.
bool is_within(Numerics derived, const Numerics& original) {
  derived.rescales = original.rescales;
  derived.summation_height = std::max(derived.summation_height, original.summation_height);
  derived.batch_height = std::max(derived.batch_height, original.batch_height);
  return derived == original;
}

}  // namespace

void Verifier::verify_relations(const Family& usual, std::uint64_t seed) {
  const Numerics numerics = variant_.numerics(problem_);
  for (const Relation& relation : op_.relations) {
    if (relation.applies && !relation.applies(problem_)) continue;
    const Family& family =
        relation.families.empty() ? usual : *op_.find_family(relation.families.front());
    if (family.inapplicable && !family.inapplicable(problem_).empty()) continue;
    const Problem problem = relation.problem ? relation.problem(problem_) : problem_;
    if (variant_.unsupported && !variant_.unsupported(problem).empty()) continue;
    if (!is_within(variant_.numerics(problem), numerics)) continue;
    const Subject subject{&family, seed};
    const auto original = oracle_.inputs(problem_, family.name, seed);
    const Inputs derived = allocate_inputs(op_, problem);
    for (const TensorView& tensor : derived.tensors) {
      const TensorView* const same = original->tensors.find(tensor.spec.name);
      if (!same) continue;
      std::memcpy(tensor.data, same->data,
                  static_cast<std::size_t>(std::min(same->spec.bytes(), tensor.spec.bytes())));
    }
    if (relation.inputs) relation.inputs(problem_, original->tensors, derived.tensors);
    std::vector<Expected> expected = copy(*oracle_.expected(problem_, family.name, seed, numerics));
    if (relation.expected) relation.expected(problem_, expected);

    BufferSet set(device_, variant_, problem);
    set.upload(derived);
    Outputs outputs = make_outputs(op_, problem);
    if (!run(set, kPoisons[0], schedules_.front(), subject, outputs)) return;
    add_checks(judge_.judge_derived("relation/" + relation.name, relation.name + ": ", subject,
                                    written(outputs), {&expected}));
  }
}

void Verifier::verify_batch(const Family& family, std::uint64_t seed) {
  if (variant_.repeatability != Repeatability::batch_invariant || op_.batch_dim.empty()) return;
  const Subject subject{&family, seed};
  // Every second slice, the last one first: another number of them, all at other places. One alone
  // becomes three.
  const std::int64_t length = problem_.dim(op_.batch_dim);
  std::vector<std::int64_t> chosen;
  for (std::int64_t i = length - 1; i >= 0; i -= 2) chosen.push_back(i);
  if (length == 1) chosen = {0, 0, 0};
  Problem problem = problem_;
  for (Problem::Dim& dim : problem.dims)
    if (dim.name == op_.batch_dim) dim.size = static_cast<std::int64_t>(chosen.size());

  const auto original = oracle_.inputs(problem_, family.name, seed);
  if (!run(this->set(), kPoisons[0], schedules_.front(), subject, outputs_)) return;
  const Inputs derived = allocate_inputs(op_, problem);
  for (const TensorView& tensor : derived.tensors) {
    const TensorView& whole = original->tensors[tensor.spec.name];
    const int axis = batch_axis(op_, tensor.spec);
    if (axis < 0)
      std::memcpy(tensor.data, whole.data, static_cast<std::size_t>(whole.spec.bytes()));
    else
      gather(whole, tensor, axis, chosen);
  }
  BufferSet set(device_, variant_, problem);
  set.upload(derived);
  Outputs outputs = make_outputs(op_, problem);
  if (!run(set, kPoisons[0], schedules_.front(), subject, outputs)) return;
  for (std::size_t o = 0; o < outputs.size(); ++o) {
    const TensorSpec& spec = outputs[o].spec();
    const int axis = batch_axis(op_, spec);
    if (axis < 0) continue;
    // What the whole batch gave for these slices.
    std::vector<std::byte> of_whole(static_cast<std::size_t>(spec.bytes()));
    gather(outputs_[o].now(), {spec, of_whole.data()}, axis, chosen);
    const void* const now = outputs[o].now().data;
    Check& check = add_check("batch", subject, spec.name);
    check.elements = spec.elements();
    const auto index = first_difference(spec, of_whole.data(), now);
    if (!index) continue;
    const std::int64_t slice =
        chosen[static_cast<std::size_t>(coordinates(spec, *index)[static_cast<std::size_t>(axis)])];
    check.status = Status::failed;
    check.wrong = 1;
    check.reason = fmt::format(
        "{} = {:.9g} where {}={} holds what is {} of {} otherwise, {:.9g} there: the variant "
        "declares batch invariance",
        place(op_, spec, *index), value_at(spec, now, *index), op_.batch_dim, chosen.size(), slice,
        length, value_at(spec, of_whole.data(), *index));
  }
}

void Verifier::verify_isolation(BufferSet& set, Subject subject) {
  const Spending spending(Expense::comparison);
  const Family& base = *op_.find_family(subject.family->isolates);
  const auto expected = passed() ? nullptr : judge_.expected(subject);
  set.upload(*oracle_.inputs(problem_, base.name, subject.seed));
  if (!run(set, kPoisons[0], deal_schedule(subject.seed), subject, outputs_)) return;
  for (std::size_t o = 0; o < outputs_.size(); ++o) {
    const TensorView before = outputs_[o].before(), now = outputs_[o].now();
    const TensorSpec& spec = now.spec;
    Check& check = add_check("isolation", subject, spec.name);
    check.elements = spec.elements();
    const auto differing = differing_numbers(before, now, expected ? &expected->at(o) : nullptr);
    check.wrong = differing.count;
    const std::int64_t first = differing.first;
    if (first < 0) continue;
    check.status = Status::failed;
    check.reason = fmt::format("{} = {:.9g} beside a NaN in another slice of {}, {:.9g} without it",
                               place(op_, spec, first), value_at(spec, before.data, first),
                               op_.batch_dim, value_at(spec, now.data, first));
  }
}

}  // namespace assay
