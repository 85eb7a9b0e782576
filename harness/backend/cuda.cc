// The cuda backend: memory, one stream, timing by events behind a spinning kernel, and the measured
// limit of the memory.
#include <cuda_runtime.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <string>

#include "harness/backend/backend.h"
#include "harness/backend/cuda_fence.h"
#include "harness/backend/cuda_kernels.h"
#include "harness/backend/cuda_nvml.h"
#include "harness/core/error.h"

namespace assay {
namespace {

// After these every call fails in the same way, until the process ends.
bool ends_context(cudaError_t status) {
  switch (status) {
    case cudaErrorIllegalAddress:
    case cudaErrorMisalignedAddress:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorIllegalInstruction:
    case cudaErrorHardwareStackError:
    case cudaErrorLaunchFailure:
    case cudaErrorLaunchTimeout:
    case cudaErrorAssert:
    case cudaErrorECCUncorrectable:
      return true;
    default:
      return false;
  }
}

void check(cudaError_t status, const std::string& what) {
  if (status == cudaSuccess) return;
  cudaGetLastError();  // forgets it, unless it is of the kind that stays
  if (ends_context(status)) throw DeviceLost(what + ": " + cudaGetErrorString(status));
  throw EnvironmentError(what + ": " + cudaGetErrorString(status));
}

class CudaStream {
 public:
  // Does not wait for the default stream, nor the other way round.
  CudaStream() {
    check(cudaStreamCreateWithFlags(&handle_, cudaStreamNonBlocking), "creating a CUDA stream");
  }
  ~CudaStream() { cudaStreamDestroy(handle_); }
  CudaStream(const CudaStream&) = delete;
  CudaStream& operator=(const CudaStream&) = delete;
  cudaStream_t get() const { return handle_; }

 private:
  cudaStream_t handle_ = nullptr;
};

class CudaEvent {
 public:
  CudaEvent() { check(cudaEventCreate(&handle_), "creating a CUDA event"); }
  ~CudaEvent() {
    if (handle_) cudaEventDestroy(handle_);
  }
  CudaEvent(CudaEvent&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  CudaEvent& operator=(CudaEvent&&) = delete;
  void record(cudaStream_t stream) {
    check(cudaEventRecord(handle_, stream), "recording an event");
  }
  double seconds_since(const CudaEvent& start) const {
    float milliseconds = 0;
    check(cudaEventElapsedTime(&milliseconds, start.handle_, handle_),
          "reading the time of an event");
    return milliseconds * 1e-3;
  }

 private:
  cudaEvent_t handle_ = nullptr;
};

// A word of host memory that the device polls.
class Flag {
 public:
  Flag() {
    check(cudaHostAlloc(reinterpret_cast<void**>(&host_), sizeof(int), cudaHostAllocMapped),
          "allocating mapped host memory");
    check(cudaHostGetDevicePointer(reinterpret_cast<void**>(&device_), host_, 0),
          "mapping host memory");
  }
  ~Flag() { cudaFreeHost(host_); }
  Flag(const Flag&) = delete;
  Flag& operator=(const Flag&) = delete;
  void set(int value) { *static_cast<volatile int*>(host_) = value; }
  const int* device() const { return device_; }

 private:
  int* host_ = nullptr;
  int* device_ = nullptr;
};

std::string version_text(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

int attribute(cudaDeviceAttr what, int index) {
  int value = 0;
  check(cudaDeviceGetAttribute(&value, what, index), "asking for a property of the CUDA device");
  return value;
}

DeviceInfo describe(int index) {
  cudaDeviceProp properties = {};
  check(cudaGetDeviceProperties(&properties, index), "asking for the properties of a CUDA device");
  int driver = 0, runtime = 0;
  check(cudaDriverGetVersion(&driver), "asking for the driver's version");
  check(cudaRuntimeGetVersion(&runtime), "asking for the runtime's version");

  DeviceInfo info;
  info.backend = Backend::cuda;
  info.index = index;
  info.name = properties.name;
  info.arch = properties.major * 10 + properties.minor;
  // The rest is for the context, the measurement of bandwidth and fragmentation.
  info.memory_bytes =
      static_cast<std::int64_t>(properties.totalGlobalMem) / 10 * 9 - (std::int64_t{1} << 30);
  info.cache_bytes = properties.l2CacheSize;
  info.facts = {
      {"compute capability",
       std::to_string(properties.major) + "." + std::to_string(properties.minor)},
      {"multiprocessors", std::to_string(properties.multiProcessorCount)},
      {"memory", std::to_string(properties.totalGlobalMem >> 20) + " MiB"},
      {"L2", std::to_string(properties.l2CacheSize >> 20) + " MiB"},
      {"memory bus", std::to_string(properties.memoryBusWidth) + " bits"},
      {"CUDA driver", version_text(driver)},
      {"CUDA runtime", version_text(runtime)},
  };
  char pci_bus_id[32] = {};
  if (cudaDeviceGetPCIBusId(pci_bus_id, sizeof pci_bus_id, index) == cudaSuccess) {
    for (auto& fact : nvml_facts(pci_bus_id)) info.facts.push_back(std::move(fact));
  }
  return info;
}

struct Ratio {
  int reads = 0, writes = 0;
  auto operator<=>(const Ratio&) const = default;
};

// The ratio of integers up to 16 that comes nearest, the smallest of those that are equally near.
Ratio nearest_ratio(double reads, double writes) {
  constexpr int kMost = 16;
  const double wanted = reads / (reads + writes);
  Ratio best = {1, 0};
  double best_distance = 2;
  for (int sum = 1; sum <= 2 * kMost; ++sum) {
    for (int r = std::max(0, sum - kMost); r <= std::min(sum, kMost); ++r) {
      const double distance = std::abs(static_cast<double>(r) / sum - wanted);
      if (distance < best_distance - 1e-9) {
        best = {r, sum - r};
        best_distance = distance;
      }
    }
  }
  return best;
}

// Seconds that the stream waits at most; only if enqueuing takes longer is the host's time seen.
constexpr double kSpinLimit = 2;

class CudaDevice final : public Device {
 public:
  explicit CudaDevice(int index) : info_(describe(index)) {
    use();
    stream_.emplace();
    second_stream_.emplace();
    go_.emplace();
    std::size_t free = 0, total = 0;
    check(cudaMemGetInfo(&free, &total), "asking for the free device memory");
    const auto usable = static_cast<std::int64_t>(free) - (std::int64_t{3} << 30);
    info_.memory_bytes = std::max<std::int64_t>(0, std::min(info_.memory_bytes, usable));
    time({});
  }

  const DeviceInfo& info() const override { return info_; }

  void* allocate(std::int64_t bytes) override {
    use();
    void* memory = nullptr;
    check(cudaMalloc(&memory, static_cast<std::size_t>(std::max<std::int64_t>(bytes, 1))),
          "allocating " + std::to_string(bytes) + " bytes of device memory");
    return memory;
  }
  void release(void* memory) noexcept override { cudaFree(memory); }

  void upload(void* device, const void* host, std::int64_t bytes) override {
    transfer(device, host, bytes, cudaMemcpyHostToDevice, "to");
  }
  void download(void* host, const void* device, std::int64_t bytes) override {
    transfer(host, device, bytes, cudaMemcpyDeviceToHost, "from");
  }
  void copy(void* to, const void* from, std::int64_t bytes) override {
    transfer(to, from, bytes, cudaMemcpyDeviceToDevice, "within");
  }
  void enqueue_copy(void* to, const void* from, std::int64_t bytes) override {
    use();
    check(cudaMemcpyAsync(to, from, static_cast<std::size_t>(bytes), cudaMemcpyDeviceToDevice,
                          stream_->get()),
          "copying within device memory");
  }
  void fill(void* device, unsigned char byte, std::int64_t bytes) override {
    use();
    check(cudaMemsetAsync(device, byte, static_cast<std::size_t>(bytes), stream_->get()),
          "filling device memory");
    wait("filling device memory");
  }

  bool has_fences() const override { return true; }
  void* allocate_fenced(std::int64_t bytes, Fence fence) override {
    use();
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
    go_->set(0);
    launch_spin(go_->device(), kSpinLimit, stream_->get());
    check(cudaGetLastError(), "launching the spinning kernel");
    return {this, [this](void*) { go_->set(1); }};
  }
  void peek(void* host, const void* device, std::int64_t bytes) override {
    use();
    check(cudaMemcpyAsync(host, device, static_cast<std::size_t>(bytes), cudaMemcpyDeviceToHost,
                          second_stream_->get()),
          "looking at device memory");
    check(cudaStreamSynchronize(second_stream_->get()), "looking at device memory");
  }
  std::shared_ptr<void> contend() override;
  bool replay(const Launch& launch, const std::function<void()>& between) override;

  std::vector<double> time(const std::vector<TimedLaunch>& launches) override;
  std::string clock() const override { return "cuda_event"; }
  double bandwidth(double bytes_read, double bytes_written) override;

 private:
  void use() const { check(cudaSetDevice(info_.index), "selecting the CUDA device"); }
  void wait(const std::string& what) { check(cudaStreamSynchronize(stream_->get()), what); }
  void transfer(void* to, const void* from, std::int64_t bytes, cudaMemcpyKind kind,
                const std::string& direction) {
    use();
    const std::string what = "copying " + direction + " device memory";
    check(cudaMemcpyAsync(to, from, static_cast<std::size_t>(bytes), kind, stream_->get()), what);
    wait(what);
  }
  double measure_bandwidth(Ratio ratio);

  DeviceInfo info_;
  std::optional<CudaStream> stream_, second_stream_;
  CudaFencedMemory fenced_;
  std::optional<Flag> go_;
  std::vector<CudaEvent> events_;  // two for each launch of a batch
  std::map<Ratio, double> bandwidth_;
};

std::vector<double> CudaDevice::time(const std::vector<TimedLaunch>& launches) {
  // The device works on nothing while a batch is enqueued, then runs it back to back: the host's
  // time stays outside. A batch of multi-kernel variants must fit the driver's queue (about 1000
  // entries), or enqueuing would wait for the spin.
  constexpr std::size_t kBatch = 64;
  use();
  std::vector<double> seconds;
  for (std::size_t begin = 0; begin == 0 || begin < launches.size(); begin += kBatch) {
    const std::size_t count = std::min(kBatch, launches.size() - begin);
    while (events_.size() < 2 * count) events_.emplace_back();
    go_->set(0);
    launch_spin(go_->device(), kSpinLimit, stream_->get());
    check(cudaGetLastError(), "launching the spinning kernel");
    try {
      for (std::size_t i = 0; i < count; ++i) {
        const TimedLaunch& timed = launches[begin + i];
        if (timed.before) (*timed.before)(stream());
        events_[2 * i].record(stream_->get());
        (*timed.launch)(stream());
        events_[2 * i + 1].record(stream_->get());
      }
    } catch (...) {
      go_->set(1);
      cudaStreamSynchronize(stream_->get());
      throw;
    }
    go_->set(1);
    wait("running timed launches");
    for (std::size_t i = 0; i < count; ++i) {
      seconds.push_back(events_[2 * i + 1].seconds_since(events_[2 * i]));
    }
  }
  return seconds;
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

bool CudaDevice::replay(const Launch& launch, const std::function<void()>& between) {
  use();
  check(cudaStreamBeginCapture(stream_->get(), cudaStreamCaptureModeThreadLocal),
        "beginning to record a graph");
  cudaGraph_t recorded = nullptr;
  try {
    launch(stream());
  } catch (...) {
    cudaStreamEndCapture(stream_->get(), &recorded);
    if (recorded) cudaGraphDestroy(recorded);
    throw;
  }
  check(cudaStreamEndCapture(stream_->get(), &recorded), "recording a graph");
  cudaGraphExec_t graph = nullptr;
  const cudaError_t status = cudaGraphInstantiate(&graph, recorded, 0);
  cudaGraphDestroy(recorded);
  check(status, "instantiating a graph");
  const auto run = [&] {
    cudaGraphLaunch(graph, stream_->get());
    return cudaStreamSynchronize(stream_->get());
  };
  cudaError_t ran = run();
  if (ran == cudaSuccess) {
    between();
    ran = run();
  }
  cudaGraphExecDestroy(graph);
  check(ran, "replaying a graph");
  return true;
}

double CudaDevice::bandwidth(double bytes_read, double bytes_written) {
  const Ratio ratio = nearest_ratio(bytes_read, bytes_written);
  const auto known = bandwidth_.find(ratio);
  if (known != bandwidth_.end()) return known->second;
  return bandwidth_[ratio] = measure_bandwidth(ratio);
}

double CudaDevice::measure_bandwidth(Ratio ratio) {
  // Far beyond L2, and long enough that the 2 µs which a pair of events adds do not show. Less
  // where cases fill the memory.
  const std::int64_t least = 10 * std::max<std::int64_t>(info_.cache_bytes, 1 << 20);
  std::int64_t total = std::max<std::int64_t>(least, std::int64_t{2} << 30);
  use();
  std::size_t free = 0, all = 0;
  check(cudaMemGetInfo(&free, &all), "asking for the free device memory");
  total = std::max(least, std::min(total, static_cast<std::int64_t>(free / 2)));
  constexpr std::int64_t kVector = 16;
  const std::int64_t arrays = ratio.reads + ratio.writes;
  const std::int64_t length = total / arrays / kVector;
  const DeviceMemory in(*this, std::max<std::int64_t>(1, ratio.reads * length) * kVector);
  const DeviceMemory out(*this, std::max<std::int64_t>(1, ratio.writes * length) * kVector);
  fill(in.data(), 0, in.bytes());

  constexpr int kSamples = 9;
  const int multiprocessors = attribute(cudaDevAttrMultiProcessorCount, info_.index);
  double best = 0;
  for (const int unroll : {1, 2, 4}) {
    for (const int blocks : {0, 2, 4, 8, 16}) {
      const StreamShape shape = {unroll, 256, blocks};
      const Launch launch = [&](Stream stream) {
        launch_stream(shape, multiprocessors, in.data(), ratio.reads, out.data(), ratio.writes,
                      static_cast<std::size_t>(length), static_cast<cudaStream_t>(stream.handle));
        check(cudaGetLastError(), "launching a streaming kernel");
      };
      std::vector<double> seconds = time(std::vector<TimedLaunch>(kSamples + 1, {&launch}));
      seconds.erase(seconds.begin());  // the first one warms up
      std::nth_element(seconds.begin(), seconds.begin() + kSamples / 2, seconds.end());
      best = std::max(best, static_cast<double>(arrays * length * kVector) / seconds[kSamples / 2]);
    }
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
      for (int i = 0; i < count; ++i) devices_.push_back(describe(i));
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
    return std::make_unique<CudaDevice>(index);
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

const RegisterPlatform cuda_platform(std::make_unique<CudaPlatform>());

}  // namespace
}  // namespace assay
