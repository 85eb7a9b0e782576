#include "harness/backend/cuda_reference.h"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>

#include "harness/backend/cuda_judge.h"
#include "harness/core/fingerprint.h"
#include "harness/core/spending.h"

namespace assay {

namespace {

class CudaReference final : public DeviceReference {
 public:
  CudaReference(Device& device, CudaWindows& windows, cudaStream_t stream)
      : device_(device), windows_(windows), stream_(stream) {}
  ~CudaReference() override {
    if (!is_finished_) windows_.drain();
  }

  void begin(std::vector<SlicedOutput> outputs, std::int64_t slices) override {
    if (outputs.size() > kMostSliced)
      throw std::logic_error("more sliced outputs than there may be");
    if (slices < 1) throw std::logic_error("there are no slices");
    sliced_ = std::move(outputs);
    slices_ = slices;
    std::int64_t elements = 0;  // of a slice
    for (const SlicedOutput& output : sliced_) {
      elements += output.outer * output.inner;
      add_output(output.output, output.outer * slices * output.inner);
    }
    const std::int64_t slice = kBoth * elements;
    a_window_ = std::clamp<std::int64_t>(windows_.usual() / slice, 1, slices);
    windows_.resize(a_window_ * slice);
  }

  Window open(std::int64_t begin, std::int64_t end) noexcept override {
    Window window;
    window.begin = begin;
    window.end = std::min(end, begin + a_window_);
    window.outputs = sliced_.size();
    window.place = windows_.take();
    auto* next = reinterpret_cast<double*>(windows_.memory(window.place));
    const std::int64_t slices = window.end - begin;
    for (std::size_t i = 0; i < sliced_.size(); ++i) {
      const std::int64_t inner = sliced_[i].inner, stride = slices * inner;
      const std::int64_t elements = sliced_[i].outer * stride;
      window.first[i] = {next, next + elements, stride};
      window.inner[i] = inner;
      next += 2 * elements;
    }
    return window;
  }

  void close(const Window& window) noexcept override {
    const auto* next = reinterpret_cast<const double*>(windows_.memory(window.place));
    std::vector<CudaWindows::Copy> copies;
    for (std::size_t i = 0; i < sliced_.size(); ++i) {
      const std::int64_t inner = sliced_[i].inner, row = (window.end - window.begin) * inner;
      for (const DeviceMemory* array : {&outputs_[i].values, &outputs_[i].bounds}) {
        copies.push_back({static_cast<double*>(array->data()) + window.begin * inner,
                          slices_ * inner * kDouble, next, row * kDouble, sliced_[i].outer});
        next += sliced_[i].outer * row;
      }
    }
    windows_.send(window.place, copies);
  }

  void upload(const Expected& whole) override {
    const Output& output = add_output(whole.output, whole.size);
    device_.upload(output.values.data(), whole.value.get(), kDouble * whole.size);
    device_.upload(output.bounds.data(), whole.bound.get(), kDouble * whole.size);
  }

  void finish() override {
    windows_.wait();
    is_finished_ = true;
    for (Output& output : outputs_) {
      output.print_of_values = print(output.values);
      output.print_of_bounds = print(output.bounds);
    }
  }

  std::int64_t bytes() const override {
    std::int64_t bytes = 0;
    for (const Output& output : outputs_) bytes += kBoth * output.size;
    return bytes;
  }

  bool is_intact() override {
    return std::all_of(outputs_.begin(), outputs_.end(), [&](const Output& output) {
      return print(output.values) == output.print_of_values &&
             print(output.bounds) == output.print_of_bounds;
    });
  }

  Judgement judge(const TensorSpec& spec, const void* got, bool exact, double least) override {
    const Output& output = named(spec.name);
    const std::int64_t n = spec.elements(), count = (n + kJudgedPart - 1) / kJudgedPart;
    if (n != output.size)
      throw std::logic_error("the reference of " + spec.name + " has another size than the output");
    std::vector<CudaJudgement> found(static_cast<std::size_t>(count));
    const auto bytes = static_cast<std::int64_t>(found.size() * sizeof(CudaJudgement));
    const DeviceMemory memory(device_, bytes);
    launch_judge(spec.dtype, got, static_cast<const double*>(output.values.data()),
                 exact ? nullptr : static_cast<const double*>(output.bounds.data()), n, least,
                 static_cast<CudaJudgement*>(memory.data()), stream_);
    check(cudaGetLastError(), "judging " + spec.name);
    device_.download(found.data(), memory.data(), bytes);
    std::vector<Judgement> parts(found.size());
    for (std::size_t i = 0; i < found.size(); ++i) {
      const CudaJudgement& from = found[i];
      const auto begin = static_cast<std::int64_t>(i) * kJudgedPart;
      parts[i] = {std::min(kJudgedPart, n - begin),
                  from.wrong,
                  from.nonzero,
                  from.zero_accepted,
                  from.unsound,
                  from.utilisation,
                  from.error_squared,
                  from.want_squared,
                  from.worst,
                  {}};
      std::copy_n(from.ulps, kUlpBuckets, parts[i].ulps.begin());
    }
    return join(parts);
  }

  Pair at(const std::string& name, std::int64_t index) override {
    const Output& output = named(name);
    Pair pair = {};
    const auto look = [&](const DeviceMemory& array, double* to) {
      device_.download(to, static_cast<const double*>(array.data()) + index, kDouble);
    };
    look(output.values, &pair.value);
    look(output.bounds, &pair.bound);
    return pair;
  }

  std::vector<Expected> fetch() override {
    std::vector<Expected> all;
    for (const Output& output : outputs_) {
      Expected& to = all.emplace_back(output.name, output.size);
      device_.download(to.value.get(), output.values.data(), kDouble * output.size);
      device_.download(to.bound.get(), output.bounds.data(), kDouble * output.size);
    }
    return all;
  }

 private:
  static constexpr auto kDouble = static_cast<std::int64_t>(sizeof(double));
  static constexpr std::int64_t kBoth = 2 * kDouble;  // value and bound

  struct Output {
    std::string name;
    std::int64_t size;
    DeviceMemory values, bounds;
    Fingerprint print_of_values{}, print_of_bounds{};
  };

  const Output& add_output(const std::string& name, std::int64_t size) {
    const Spending spending(Expense::memory);
    DeviceMemory values(device_, kDouble * size), bounds(device_, kDouble * size);
    return outputs_.emplace_back(Output{name, size, std::move(values), std::move(bounds)});
  }
  const Output& named(const std::string& name) const {
    const auto found = std::find_if(outputs_.begin(), outputs_.end(),
                                    [&](const Output& output) { return output.name == name; });
    if (found == outputs_.end())
      throw std::logic_error("the reference has no output named " + name);
    return *found;
  }
  Fingerprint print(const DeviceMemory& memory) {
    return device_.fingerprint(memory.data(), memory.bytes());
  }

  Device& device_;
  CudaWindows& windows_;
  cudaStream_t stream_;
  std::vector<SlicedOutput> sliced_;  // the first of the outputs
  std::int64_t slices_ = 0, a_window_ = 1;
  std::vector<Output> outputs_;
  bool is_finished_ = false;
};

}  // namespace

std::unique_ptr<DeviceReference> make_cuda_reference(Device& device, CudaWindows& windows,
                                                     cudaStream_t stream) {
  return std::make_unique<CudaReference>(device, windows, stream);
}

}  // namespace assay
