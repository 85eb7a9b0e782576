// A device for tests that judges, as GPUs do: its memory is the host's, but what is written for it
// goes through windows of a few slices, as it must where copies are on their way meanwhile.
#pragma once

#include <algorithm>
#include <limits>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "harness/engine/interval.h"
#include "harness/testing_device.h"

namespace assay {

class WindowedReference final : public DeviceReference {
 public:
  static constexpr std::int64_t kSlices = 3;  // of a window

  // Once it is written its bytes are added to `finished`, if there is such.
  explicit WindowedReference(std::vector<std::int64_t>* finished = nullptr) : finished_(finished) {}

  void begin(std::vector<SlicedOutput> outputs, std::int64_t slices) override {
    sliced_ = std::move(outputs);
    slices_ = slices;
    for (const SlicedOutput& output : sliced_)
      outputs_.emplace_back(output.output, output.outer * slices * output.inner);
  }

  Window open(std::int64_t begin, std::int64_t end) noexcept override {
    Window window;
    window.begin = begin;
    window.end = std::min(end, begin + kSlices);
    window.outputs = sliced_.size();
    auto memory = std::make_unique<std::vector<double>>();
    std::size_t elements = 0;
    for (const SlicedOutput& output : sliced_)
      elements += static_cast<std::size_t>(2 * output.outer * kSlices * output.inner);
    memory->assign(elements, std::numeric_limits<double>::quiet_NaN());
    double* next = memory->data();
    for (std::size_t i = 0; i < sliced_.size(); ++i) {
      const std::int64_t stride = (window.end - begin) * sliced_[i].inner;
      window.first[i] = {next, next + sliced_[i].outer * stride, stride};
      window.inner[i] = sliced_[i].inner;
      next += 2 * sliced_[i].outer * stride;
    }
    const std::scoped_lock lock(mutex_);
    window.place = windows_.size();
    windows_.push_back(std::move(memory));
    return window;
  }

  void close(const Window& window) noexcept override {
    std::unique_ptr<std::vector<double>> memory;
    {
      const std::scoped_lock lock(mutex_);
      memory = std::move(windows_[window.place]);
    }
    const double* next = memory->data();
    for (std::size_t i = 0; i < sliced_.size(); ++i) {
      const std::int64_t inner = sliced_[i].inner, row = (window.end - window.begin) * inner;
      for (double* const to : {outputs_[i].value.get(), outputs_[i].bound.get()}) {
        for (std::int64_t outer = 0; outer < sliced_[i].outer; ++outer, next += row)
          std::copy_n(next, row, to + (outer * slices_ + window.begin) * inner);
      }
    }
  }

  void upload(const Expected& whole) override {
    Expected& to = outputs_.emplace_back(whole.output, whole.size);
    std::copy_n(whole.value.get(), whole.size, to.value.get());
    std::copy_n(whole.bound.get(), whole.size, to.bound.get());
  }

  void finish() override {
    print_ = print();
    if (finished_) finished_->push_back(bytes());
  }
  std::int64_t bytes() const override {
    std::int64_t bytes = 0;
    for (const Expected& output : outputs_) bytes += 16 * output.size;
    return bytes;
  }
  bool is_intact() override { return print() == print_; }
  Judgement judge(const TensorSpec& spec, const void* got, bool exact, double least) override {
    return assay::judge(spec, got, named(spec.name), exact, least);
  }
  Pair at(const std::string& output, std::int64_t index) override {
    const auto i = static_cast<std::size_t>(index);
    return {named(output).value[i], named(output).bound[i]};
  }
  std::vector<Expected> fetch() override {
    std::vector<Expected> all;
    for (const Expected& output : outputs_) {
      Expected& to = all.emplace_back(output.output, output.size);
      std::copy_n(output.value.get(), output.size, to.value.get());
      std::copy_n(output.bound.get(), output.size, to.bound.get());
    }
    return all;
  }

  Expected& named(const std::string& name) {
    return *std::find_if(outputs_.begin(), outputs_.end(),
                         [&](const Expected& output) { return output.output == name; });
  }

 private:
  std::vector<Fingerprint> print() const {
    std::vector<Fingerprint> prints;
    for (const Expected& output : outputs_)
      for (const double* const array : {output.value.get(), output.bound.get()})
        prints.push_back(fingerprint(array, 8 * output.size));
    return prints;
  }

  std::vector<std::int64_t>* finished_;
  std::vector<SlicedOutput> sliced_;
  std::int64_t slices_ = 0;
  std::vector<Expected> outputs_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<std::vector<double>>> windows_;
  std::vector<Fingerprint> print_;
};

class JudgingDevice : public ForwardingDevice {
 public:
  bool judges() const override { return true; }
  std::unique_ptr<DeviceReference> make_reference() override {
    auto made = std::make_unique<WindowedReference>(&reference_bytes);
    references.push_back(made.get());
    return made;
  }

  // In the order in which they were asked for; and the sizes of those that were finished.
  std::vector<WindowedReference*> references;
  std::vector<std::int64_t> reference_bytes;
};

}  // namespace assay
