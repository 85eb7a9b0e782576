// Output is one output of the runs of a case: the contents that the last run left and those of the
// run before. Contents are known by their fingerprints and kept once. Where the device judges they
// are kept there, and come to the host only if somebody looks at them; else in host memory, where
// what has arrived already is not fetched again.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "harness/backend/backend.h"
#include "harness/core/fingerprint.h"
#include "harness/core/host_memory.h"
#include "harness/engine/buffers.h"

namespace assay {

class Output {
 public:
  // Takes no memory before there are contents; then as many bytes as the output has, at most twice.
  // Contents are kept on `device`; null: in host memory.
  explicit Output(TensorSpec spec, Device* device = nullptr)
      : spec_(std::move(spec)), device_(device) {}

  // What device memory holds now becomes `now`; what was now, `before`. By the fingerprint that the
  // device computes: where one of the two copies has it, that copy is `now` already.
  void take(const BufferSet& set);
  void take(Device& device, const void* packed);

  const TensorSpec& spec() const { return spec_; }
  // In host memory, laid out row by row; null before there is one. Fetched when first asked for.
  TensorView now() const { return {spec_, on_host(copies_[now_])}; }
  TensorView before() const { return {spec_, on_host(copies_[before_])}; }
  double value(std::int64_t index) const;  // of now(), that element alone
  // now() in the device's memory; null: it is kept by the host.
  const void* now_there() const { return copies_[now_].there.data(); }
  // Of the bytes of now(): the device's, if it was the same before and after they were kept.
  const Fingerprint& print() const { return copies_[now_].print; }
  // The device had the same bits the last two times.
  bool is_unchanged() const { return now_ == before_ && seen_ == seen_before_; }

 private:
  struct Copy {
    DeviceMemory there;
    HostMemory storage;
    bool is_fetched = false;  // storage holds what is there
    Fingerprint print;

    bool has_contents() const { return there.data() != nullptr || storage; }
  };
  // look(): the fingerprint of what is to be kept; keep(to) brings it into memory of the device,
  // fetch(view) into the host's.
  template <class Look, class Keep, class Fetch>
  void take_by(const Look& look, const Keep& keep, const Fetch& fetch);
  void* on_host(Copy& copy) const;

  TensorSpec spec_;
  Device* device_;
  mutable Copy copies_[2];
  std::size_t now_ = 0, before_ = 0;
  // What the device said. Not that of the copy, where the memory changed before it was fetched.
  Fingerprint seen_, seen_before_;
};

using Outputs = std::vector<Output>;

// Kept on that device, or in host memory.
Outputs make_outputs(const Op& op, const Problem& problem, Device* device = nullptr);

// An output as it is to be judged: what a run left, or what somebody else put into host memory.
class Written {
 public:
  explicit Written(const TensorView& view) : view_(view) {}
  explicit Written(const Output& output) : view_{output.spec(), nullptr}, output_(&output) {}

  const TensorSpec& spec() const { return view_.spec; }
  const void* on_host() const { return output_ ? output_->now().data : view_.data; }
  const void* there() const { return output_ ? output_->now_there() : nullptr; }
  double value(std::int64_t index) const;
  const Fingerprint* print() const { return output_ ? &output_->print() : nullptr; }

 private:
  TensorView view_;
  const Output* output_ = nullptr;
};

template <class Views>
std::vector<Written> written(const Views& outputs) {
  return {outputs.begin(), outputs.end()};
}

}  // namespace assay
