// The cuda backend: memory, one stream, what is timed and counted on it, and the measured limit of
// the memory.
#include <cuda_runtime.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "harness/backend/backend.h"
#include "harness/backend/cuda_arithmetic.h"
#include "harness/backend/cuda_blocks.h"
#include "harness/backend/cuda_fence.h"
#include "harness/backend/cuda_fingerprint.h"
#include "harness/backend/cuda_handles.h"
#include "harness/backend/cuda_info.h"
#include "harness/backend/cuda_kernels.h"
#include "harness/backend/cuda_pinning.h"
#include "harness/backend/cuda_reference.h"
#include "harness/backend/cuda_timing.h"
#include "harness/backend/cuda_windows.h"
#include "harness/backend/cupti_activity.h"
#include "harness/backend/cupti_counters.h"
#include "harness/backend/kept_uploads.h"
#include "harness/core/error.h"

namespace assay {
namespace {

class CudaDevice final : public Device {
 public:
  explicit CudaDevice(DeviceInfo info) : info_(std::move(info)) {
    const int index = info_.index;
    use();
    stream_.emplace();
    second_stream_.emplace();
    uploading_stream_.emplace();
    fingerprint_.emplace(sizeof(Fingerprint));
    fingerprint_sum_.emplace(*this, static_cast<std::int64_t>(sizeof(Fingerprint)));
    timer_.emplace(stream_->get(), attribute(cudaDevAttrMultiProcessorCount, index));
    std::size_t free = 0, total = 0;
    check(cudaMemGetInfo(&free, &total), "asking for the free device memory");
    const auto usable = static_cast<std::int64_t>(free) - (std::int64_t{3} << 30);
    info_.memory_bytes = std::max<std::int64_t>(0, std::min(info_.memory_bytes, usable));
    kept_.emplace(*this, info_.memory_bytes / 8);
    windows_.emplace(index);
  }

  const DeviceInfo& info() const override { return info_; }

  void* allocate(std::int64_t bytes) override {
    use();
    void* memory = blocks_.take(bytes);
    if (!memory && blocks_.drop()) memory = blocks_.take(bytes);
    if (!memory && kept_ && kept_->drop()) {
      blocks_.drop();  // where some of that went
      memory = blocks_.take(bytes);
    }
    if (!memory)
      throw EnvironmentError("no " + std::to_string(bytes) + " bytes of device memory are free");
    return memory;
  }
  void release(void* memory) noexcept override {
    cudaSetDevice(info_.index);
    blocks_.give(memory);
  }

  void upload(void* device, const void* host, std::int64_t bytes) override {
    transfer(device, host, bytes, cudaMemcpyHostToDevice, "to");
  }
  void download(void* host, const void* device, std::int64_t bytes) override {
    transfer(host, device, bytes, cudaMemcpyDeviceToHost, "from");
  }
  void enqueue_download(void* host, const void* device, std::int64_t bytes) override {
    use();
    if (!pin_host_block(host, bytes)) return download(host, device, bytes);
    enqueue(host, device, bytes, cudaMemcpyDeviceToHost, stream_->get());
  }
  void upload_again(void* device, const void* host, std::int64_t bytes,
                    std::optional<Fingerprint>& print) override {
    if (bytes < CudaWindows::kWorthwhile) return Device::upload_again(device, host, bytes, print);
    kept_->upload(device, host, bytes, print);
  }
  std::shared_ptr<void> upload_ahead(const std::vector<HostRange>& ranges) override;
  void copy(void* to, const void* from, std::int64_t bytes) override {
    transfer(to, from, bytes, cudaMemcpyDeviceToDevice, "within");
  }
  void enqueue_copy(void* to, const void* from, std::int64_t bytes) override {
    use();
    enqueue(to, from, bytes, cudaMemcpyDeviceToDevice, stream_->get());
  }
  void fill(void* device, unsigned char byte, std::int64_t bytes) override {
    enqueue_fill(device, byte, bytes);
    wait("filling device memory");
  }
  void enqueue_fill(void* device, unsigned char byte, std::int64_t bytes) override {
    use();
    check(cudaMemsetAsync(device, byte, static_cast<std::size_t>(bytes), stream_->get()),
          "filling device memory");
  }

  Fingerprint fingerprint(const void* memory, std::int64_t bytes) override;

  bool judges() const override { return true; }
  std::unique_ptr<DeviceReference> make_reference() override {
    use();
    return make_cuda_reference(*this, *windows_, stream_->get());
  }

  bool has_fences() const override { return true; }
  void* allocate_fenced(std::int64_t bytes, Fence fence) override {
    use();
    blocks_.drop();  // it would not ask for these
    return fenced_.allocate(info_.index, bytes, fence == Fence::after);
  }
  void release_fenced(void* memory) noexcept override { fenced_.release(memory); }

  Stream stream() override { return {stream_->get()}; }
  void synchronize() override {
    use();
    check(cudaDeviceSynchronize(), "waiting for the device");
  }
  void synchronize_stream() override { wait("waiting for a launch"); }

  std::shared_ptr<void> hold() override {
    use();
    return timer_->hold();
  }
  void peek(void* host, const void* device, std::int64_t bytes) override {
    use();
    check(cudaMemcpyAsync(host, device, static_cast<std::size_t>(bytes), cudaMemcpyDeviceToHost,
                          second_stream_->get()),
          "looking at device memory");
    check(cudaStreamSynchronize(second_stream_->get()), "looking at device memory");
  }
  std::shared_ptr<void> contend() override;

  std::vector<Sample> time(const std::vector<TimedLaunch>& launches) override {
    use();
    return timer_->time(launches);
  }
  std::string clock() const override { return "cuda_event"; }
  Launch nothing() override {
    return [](Stream stream) { launch_nothing(static_cast<cudaStream_t>(stream.handle)); };
  }
  Launch record(const std::vector<const Launch*>& launches) override;
  double measure_bandwidth(Mix mix) override;
  double measure_arithmetic(Arithmetic arithmetic) override;
  std::vector<TracedLaunch> trace(const std::vector<TimedLaunch>& launches,
                                  std::string& why_not) override;
  std::vector<CountedKernel> count(const std::vector<TimedLaunch>& launches,
                                   const std::vector<std::string>& names,
                                   std::string& why_not) override;

 private:
  double median_time(const Launch& launch);  // seconds, of a few
  void use() const { check(cudaSetDevice(info_.index), "selecting the CUDA device"); }
  void wait(const std::string& what) { check(cudaStreamSynchronize(stream_->get()), what); }
  void transfer(void* to, const void* from, std::int64_t bytes, cudaMemcpyKind kind,
                const std::string& direction) {
    use();
    const std::string what = "copying " + direction + " device memory";
    if (bytes >= CudaWindows::kWorthwhile && kind != cudaMemcpyDeviceToDevice) {
      wait(what);
      if (pin_host_block(kind == cudaMemcpyHostToDevice ? from : to, bytes))
        enqueue(to, from, bytes, kind, stream_->get());
      else if (kind == cudaMemcpyHostToDevice)
        windows_->upload(to, from, bytes);
      else
        windows_->download(to, from, bytes);
    } else {
      enqueue(to, from, bytes, kind, stream_->get());
    }
    wait(what);
  }
  static void enqueue(void* to, const void* from, std::int64_t bytes, cudaMemcpyKind kind,
                      cudaStream_t stream) {
    check(cudaMemcpyAsync(to, from, static_cast<std::size_t>(bytes), kind, stream),
          "copying to or from device memory");
  }

  DeviceInfo info_;
  CudaBlocks blocks_{info_.memory_bytes / 8};
  std::optional<CudaStream> stream_, second_stream_, uploading_stream_;
  CudaFencedMemory fenced_;
  std::optional<CudaTimer> timer_;
  std::optional<DeviceMemory> fingerprint_sum_;
  std::optional<CudaPinned> fingerprint_;  // where it arrives
  std::optional<KeptUploads> kept_;
  std::optional<CudaWindows> windows_;
};

Fingerprint CudaDevice::fingerprint(const void* memory, std::int64_t bytes) {
  use();
  const std::string what = "taking the fingerprint of device memory";
  auto* const sum = static_cast<Fingerprint*>(fingerprint_sum_->data());
  check(cudaMemsetAsync(sum, 0, sizeof(Fingerprint), stream_->get()), what);
  launch_fingerprint(memory, bytes, sum, attribute(cudaDevAttrMultiProcessorCount, info_.index),
                     stream_->get());
  check(cudaGetLastError(), what);
  check(cudaMemcpyAsync(fingerprint_->data(), sum, sizeof(Fingerprint), cudaMemcpyDeviceToHost,
                        stream_->get()),
        what);
  wait(what);
  return *static_cast<const Fingerprint*>(fingerprint_->data());
}

std::shared_ptr<void> CudaDevice::upload_ahead(const std::vector<HostRange>& ranges) {
  use();
  const std::string what = "copying to device memory ahead";
  std::shared_ptr<void> on_its_way(this, [this](void*) {
    cudaStreamSynchronize(uploading_stream_->get());
    kept_->expect_nothing();
  });
  bool any = false;
  for (const HostRange& range : ranges) {
    if (range.bytes < CudaWindows::kWorthwhile) continue;
    if (!pin_host_block(range.data, range.bytes)) continue;
    auto arrived = std::make_shared<CudaEvent>();
    void* const to =
        kept_->expect(range.data, range.bytes, [arrived, what] { arrived->wait(what); });
    if (!to) break;
    enqueue(to, range.data, range.bytes, cudaMemcpyHostToDevice, uploading_stream_->get());
    arrived->record(uploading_stream_->get());
    any = true;
  }
  return any ? on_its_way : nullptr;
}

// Streams through memory on a second stream: milliseconds of other work.
std::shared_ptr<void> CudaDevice::contend() {
  use();
  constexpr std::int64_t kBytes = 64 << 20;
  constexpr int kPasses = 50;
  auto memory = std::make_shared<DeviceMemory>(*this, 2 * kBytes);
  fill(memory->data(), 0, memory->bytes());
  auto* out = static_cast<char*>(memory->data()) + kBytes;
  const int multiprocessors = attribute(cudaDevAttrMultiProcessorCount, info_.index);
  for (int i = 0; i < kPasses; ++i) {
    launch_stream({}, multiprocessors, memory->data(), 1, out, 1, kBytes / 16,
                  second_stream_->get());
  }
  check(cudaGetLastError(), "launching a streaming kernel");
  return {memory.get(), [this, memory](void*) { cudaStreamSynchronize(second_stream_->get()); }};
}

Launch CudaDevice::record(const std::vector<const Launch*>& launches) {
  use();
  check(cudaStreamBeginCapture(stream_->get(), cudaStreamCaptureModeThreadLocal),
        "beginning to record a graph");
  cudaGraph_t recorded = nullptr;
  try {
    for (const Launch* launch : launches) (*launch)(stream());
  } catch (...) {
    cudaStreamEndCapture(stream_->get(), &recorded);
    if (recorded) cudaGraphDestroy(recorded);
    throw;
  }
  check(cudaStreamEndCapture(stream_->get(), &recorded), "recording a graph");
  return [graph = std::make_shared<CudaGraph>(recorded)](Stream stream) {
    graph->launch(static_cast<cudaStream_t>(stream.handle));
  };
}

std::vector<TracedLaunch> CudaDevice::trace(const std::vector<TimedLaunch>& launches,
                                            std::string& why_not) {
  use();
  const auto hold = [this] { return timer_->hold(); };
  return cupti_trace(launches, stream(), hold, why_not);
}

std::vector<CountedKernel> CudaDevice::count(const std::vector<TimedLaunch>& launches,
                                             const std::vector<std::string>& names,
                                             std::string& why_not) {
  use();
  return cupti_count(info_.index, launches, stream(), names, why_not);
}

double CudaDevice::median_time(const Launch& launch) {
  constexpr int kSamples = 9;
  std::vector<double> seconds;
  for (const Sample& sample : time(std::vector<TimedLaunch>(kSamples + 1, {&launch})))
    seconds.push_back(sample.seconds);
  seconds.erase(seconds.begin());  // the first one warms up
  std::nth_element(seconds.begin(), seconds.begin() + kSamples / 2, seconds.end());
  return seconds[kSamples / 2];
}

double CudaDevice::measure_bandwidth(Mix mix) {
  // Far beyond L2, and long enough that the 2 µs which a pair of events adds do not show. Less
  // where cases fill the memory.
  const std::int64_t least = 10 * std::max<std::int64_t>(info_.cache_bytes, 1 << 20);
  std::int64_t total = std::max<std::int64_t>(least, std::int64_t{2} << 30);
  use();
  std::size_t free = 0, all = 0;
  check(cudaMemGetInfo(&free, &all), "asking for the free device memory");
  total = std::max(least, std::min(total, static_cast<std::int64_t>(free / 2)));
  constexpr std::int64_t kVector = 16;
  const std::int64_t arrays = mix.reads + mix.writes;
  const std::int64_t length = total / arrays / kVector;
  const DeviceMemory in(*this, std::max<std::int64_t>(1, mix.reads * length) * kVector);
  const DeviceMemory out(*this, std::max<std::int64_t>(1, mix.writes * length) * kVector);
  fill(in.data(), 0, in.bytes());

  const int multiprocessors = attribute(cudaDevAttrMultiProcessorCount, info_.index);
  double best = 0;
  for (const int unroll : {1, 2, 4}) {
    for (const int blocks : {0, 2, 4, 8, 16}) {
      const StreamShape shape = {unroll, 256, blocks};
      const Launch launch = [&](Stream stream) {
        launch_stream(shape, multiprocessors, in.data(), mix.reads, out.data(), mix.writes,
                      static_cast<std::size_t>(length), static_cast<cudaStream_t>(stream.handle));
        check(cudaGetLastError(), "launching a streaming kernel");
      };
      best = std::max(best, static_cast<double>(arrays * length * kVector) / median_time(launch));
    }
  }
  return best;
}

double CudaDevice::measure_arithmetic(Arithmetic arithmetic) {
  using enum ArithmeticKernel;
  use();
  const int multiprocessors = attribute(cudaDevAttrMultiProcessorCount, info_.index);
  const DeviceMemory ran(*this, 2 * sizeof(double));
  double best = 0;
  for (const ArithmeticKernel kernel : arithmetic == Arithmetic::fma_f32
                                           ? std::vector{fma}
                                           : std::vector{warp_matrix, warpgroup_matrix}) {
    int rounds = 64;
    const Launch launch = [&](Stream stream) {
      launch_arithmetic(kernel, arithmetic, multiprocessors, rounds,
                        static_cast<double*>(ran.data()), static_cast<cudaStream_t>(stream.handle));
      check(cudaGetLastError(), "launching a kernel that only computes");
    };
    fill(ran.data(), 0, ran.bytes());
    // Long enough that what events add does not show.
    constexpr double kSeconds = 1e-3;
    while (median_time(launch) < kSeconds && rounds < 1 << 20) rounds *= 2;
    double operations = 0;
    const double seconds = median_time(launch);
    download(&operations, ran.data(), sizeof operations);
    best = std::max(best, operations / seconds);
  }
  return best;
}

class CudaPlatform final : public Platform {
 public:
  Backend backend() const override { return Backend::cuda; }

  std::vector<DeviceInfo> devices() override {
    if (!asked_) {
      asked_ = true;
      int count = 0;
      const cudaError_t status = cudaGetDeviceCount(&count);
      if (status != cudaSuccess) {
        cudaGetLastError();
        why_none_ = explain(status);
        count = 0;
      } else if (count == 0) {
        why_none_ = "no CUDA device is visible";
      }
      for (int i = 0; i < count; ++i) devices_.push_back(describe_cuda(i));
    }
    return devices_;
  }

  std::string why_none() override {
    devices();
    return why_none_;
  }

  std::unique_ptr<Device> open(int index) override {
    const auto count = static_cast<int>(devices().size());
    if (count == 0) throw EnvironmentError(why_none_);
    if (index < 0 || index >= count) {
      throw UsageError("no CUDA device " + std::to_string(index) + ", there are " +
                       std::to_string(count));
    }
    return std::make_unique<CudaDevice>(devices_[static_cast<std::size_t>(index)]);
  }

  void require_counters(int index, const std::vector<std::string>& names) override {
    cupti_require(index, names);
  }

 private:
  static std::string explain(cudaError_t status) {
    int driver = 0;
    cudaDriverGetVersion(&driver);
    if (status == cudaErrorInsufficientDriver && driver == 0) return "no NVIDIA driver is loaded";
    if (status == cudaErrorInsufficientDriver) {
      return "the NVIDIA driver knows CUDA " + version_text(driver) + ", this build needs " +
             version_text(CUDART_VERSION);
    }
    if (status == cudaErrorNoDevice) return "no CUDA device is visible";
    return std::string("no CUDA device can be used: ") + cudaGetErrorString(status);
  }

  bool asked_ = false;
  std::vector<DeviceInfo> devices_;
  std::string why_none_;
};

const RegisterPlatform kCudaPlatform(std::make_unique<CudaPlatform>());

}  // namespace
}  // namespace assay
