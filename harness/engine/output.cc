#include "harness/engine/output.h"

#include "harness/core/spending.h"
#include "harness/engine/interval.h"

namespace assay {

template <class Look, class Keep, class Fetch>
void Output::take_by(const Look& look, const Keep& keep, const Fetch& fetch) {
  const Fingerprint there = look();
  before_ = now_;
  seen_before_ = seen_;
  seen_ = there;
  for (std::size_t i = 0; i < 2; ++i) {
    if (!copies_[i].has_contents() || copies_[i].print != there) continue;
    now_ = i;
    return;
  }
  if (copies_[now_].has_contents()) now_ = 1 - now_;  // over the older one
  Copy& copy = copies_[now_];
  const std::int64_t bytes = spec_.bytes();
  copy.is_fetched = false;
  if (device_) {
    if (!copy.there.data()) {
      const Spending allocating(Expense::memory);
      copy.there = DeviceMemory(*device_, bytes);
    }
    keep(copy.there.data());
  } else {
    if (!copy.storage) copy.storage = HostMemory(bytes);
    fetch(TensorView{spec_, copy.storage.get()});
  }
  // Not always `there`: what was kept is what will be judged, and if a kernel has left work running
  // the device's memory may have changed meanwhile.
  copy.print = look() == there ? there
               : device_       ? device_->fingerprint(copy.there.data(), bytes)
                               : fingerprint(copy.storage.get(), bytes);
}

void Output::take(const BufferSet& set) {
  const Spending spending(Expense::comparison);
  take_by([&] { return set.fingerprint(spec_); }, [&](void* to) { set.copy(spec_, to); },
          [&](const TensorView& host) { set.download(host); });
}

void Output::take(Device& device, const void* packed) {
  const Spending spending(Expense::comparison);
  take_by([&] { return device.fingerprint(packed, spec_.bytes()); },
          [&](void* to) { device.copy(to, packed, spec_.bytes()); },
          [&](const TensorView& host) {
            const Spending fetching(Expense::transfers);
            device.download(host.data, packed, spec_.bytes());
          });
}

void* Output::on_host(Copy& copy) const {
  if (!device_ || !copy.there.data() || copy.is_fetched) return copy.storage.get();
  const Spending fetching(Expense::transfers);
  if (!copy.storage) copy.storage = HostMemory(spec_.bytes());
  device_->download(copy.storage.get(), copy.there.data(), spec_.bytes());
  copy.is_fetched = true;
  return copy.storage.get();
}

double Output::value(std::int64_t index) const {
  const Copy& copy = copies_[now_];
  if (!copy.there.data() || copy.is_fetched) return value_at(spec_, copy.storage.get(), index);
  const auto size = static_cast<std::int64_t>(size_of(spec_.dtype));
  std::byte element[sizeof(double)];
  device_->download(element, static_cast<const std::byte*>(copy.there.data()) + index * size, size);
  return value_at(spec_, element, 0);
}

double Written::value(std::int64_t index) const {
  return output_ ? output_->value(index) : value_at(spec(), view_.data, index);
}

Outputs make_outputs(const Op& op, const Problem& problem, Device* device) {
  Outputs outputs;
  for (TensorSpec& spec : tensor_specs(op, problem))
    if (spec.role != Role::in) outputs.emplace_back(std::move(spec), device);
  return outputs;
}

}  // namespace assay
