#include "harness/engine/output.h"

#include "harness/core/spending.h"

namespace assay {

template <class Look, class Fetch>
void Output::take_by(const Look& look, const Fetch& fetch) {
  const Fingerprint there = look();
  before_ = now_;
  seen_before_ = seen_;
  seen_ = there;
  for (std::size_t i = 0; i < 2; ++i) {
    if (!copies_[i].storage || copies_[i].print != there) continue;
    now_ = i;
    return;
  }
  if (copies_[now_].storage) now_ = 1 - now_;  // over the older one
  Copy& copy = copies_[now_];
  const std::int64_t bytes = spec_.bytes();
  if (!copy.storage) copy.storage = HostMemory(bytes);
  fetch(TensorView{spec_, copy.storage.get()});
  // Not always `there`: what arrived is what will be judged, and if a kernel has left work running
  // the device's memory may have changed meanwhile.
  copy.print = look() == there ? there : fingerprint(copy.storage.get(), bytes);
}

void Output::take(const BufferSet& set) {
  const Spending spending(Expense::comparison);
  take_by([&] { return set.fingerprint(spec_); },
          [&](const TensorView& host) { set.download(host); });
}

void Output::take(Device& device, const void* packed) {
  const Spending spending(Expense::comparison);
  take_by([&] { return device.fingerprint(packed, spec_.bytes()); },
          [&](const TensorView& host) {
            const Spending fetching(Expense::transfers);
            device.download(host.data, packed, spec_.bytes());
          });
}

Outputs make_outputs(const Op& op, const Problem& problem) {
  Outputs outputs;
  for (TensorSpec& spec : tensor_specs(op, problem))
    if (spec.role != Role::in) outputs.emplace_back(std::move(spec));
  return outputs;
}

std::vector<TensorView> written(const Outputs& outputs) {
  std::vector<TensorView> views;
  for (const Output& output : outputs) views.push_back(output.now());
  return views;
}

std::vector<Fingerprint> prints(const Outputs& outputs) {
  std::vector<Fingerprint> all;
  for (const Output& output : outputs) all.push_back(output.print());
  return all;
}

}  // namespace assay
