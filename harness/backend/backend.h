// What the engine needs of a place where kernels run: memory, a stream, a clock, and the limit of
// its memory system. cpu, simt and cuda implement it; each registers its Platform, so that the
// engine names none of them.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "harness/core/expected.h"
#include "harness/core/fingerprint.h"
#include "harness/core/judgement.h"
#include "harness/core/record.h"
#include "harness/core/tensor.h"
#include "harness/core/variant.h"

namespace assay {

struct DeviceInfo {
  Backend backend = Backend::cpu;
  int index = 0;
  std::string name;               // "NVIDIA H100 80GB HBM3"; no host names
  int arch = 0;                   // CUDA compute capability times ten
  std::int64_t memory_bytes = 0;  // available for cases
  std::int64_t cache_bytes = 0;   // of the last level
  float sm_mhz = 0;               // clock that the multiprocessors are made for; 0: unknown
  double pin_rate = 0;  // bytes/s that the memory's pins can carry, whoever asks; 0: unknown
  std::vector<std::pair<std::string, std::string>>
      facts;  // for the Environment: driver, clocks, ECC, instruction set, …
};

// How the launches to come are run, on a backend that has a choice.
struct Execution {
  std::string schedule;
  std::uint64_t seed = 1;
  double timeout = 10;            // seconds without progress after which a kernel has hung
  std::int64_t trace_block = -1;  // whose collectives are printed on stderr; -1: none
};

// On which side of a buffer touching memory faults.
enum class Fence : std::uint8_t { none, after, before };

struct TimedLaunch {
  const Launch* launch;
  const Launch* before = nullptr;  // run untimed; null: nothing
};

// What a second clock, which sees kernels one by one, says of one launch.
struct TracedKernel {
  std::string name;
  double seconds = 0;
  bool is_kernel = true;  // or a copy or a fill
};
struct TracedLaunch {
  std::vector<TracedKernel> kernels;  // copies and fills among them, in the order of their begin
  double seconds = 0;                 // from the begin of the first to the end of the last
};

// Counters of one kernel of a launch, by their names.
using CountedKernel = std::vector<std::pair<std::string, double>>;

// A number of arrays read and a number of arrays written at once.
struct Mix {
  int reads = 1;
  int writes = 0;
  auto operator<=>(const Mix&) const = default;
};

// The mix of at most 16 arrays whose ratio is nearest to bytes_read : bytes_written, the smallest
// of those that are equally near.
Mix nearest_mix(double bytes_read, double bytes_written);

// What a device computes with: multiply-adds of fp32 numbers, or products of matrices of 16-bit
// numbers with sums in fp32.
enum class Arithmetic : std::uint8_t { fma_f32, matrix_bf16, matrix_f16 };

// What the outputs of a run should be, in the memory of a device that judges there: neither
// outputs nor references are read by the host. A reference is written here while it is computed,
// and is on its way to the device meanwhile. Outlived by its device.
class DeviceReference : public ExpectedWriter {
 public:
  void add(Expected whole) final { upload(whole); }
  // An output that the host has computed.
  virtual void upload(const Expected& whole) = 0;

  // After the last output. Throws EnvironmentError if something has not arrived; then nothing else
  // may be called.
  virtual void finish() = 0;

  virtual std::int64_t bytes() const = 0;  // that it takes on the device
  // Whether all is as it arrived: no kernel has written there.
  virtual bool is_intact() = 0;
  // Of the output of that name, which lies packed in device memory; `exact` and `least` as in
  // engine/interval.h.
  virtual Judgement judge(const TensorSpec& spec, const void* got, bool exact, double least) = 0;
  struct Pair {
    double value, bound;
  };
  virtual Pair at(const std::string& output, std::int64_t index) = 0;
  virtual std::vector<Expected> fetch() = 0;  // to the host, in the contract's order
};

class Device {
 public:
  virtual ~Device() = default;
  Device() = default;
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  virtual const DeviceInfo& info() const = 0;

  // Aligned to 256 bytes. Throws EnvironmentError naming the bytes asked for.
  virtual void* allocate(std::int64_t bytes) = 0;
  virtual void release(void* memory) noexcept = 0;

  // Memory that nothing can be mapped next to: its last byte (after) or its first (before) is flush
  // with address space that faults when it is read or written, by whomever. Aligned to 256 bytes
  // where the fence is before it, else to what divides `bytes`. Only where has_fences().
  virtual bool has_fences() const { return false; }
  virtual void* allocate_fenced(std::int64_t bytes, Fence fence) = 0;
  virtual void release_fenced(void* memory) noexcept = 0;

  // What `memory`, a part of an allocation, is: kernels may touch nothing else there, and may not
  // write inputs. A backend that sees accesses reports others by these names.
  virtual void name_buffer(void* /*memory*/, std::int64_t /*bytes*/, const std::string& /*name*/,
                           bool /*writable*/) {}

  // Synchronous.
  virtual void upload(void* device, const void* host, std::int64_t bytes) = 0;
  virtual void download(void* host, const void* device, std::int64_t bytes) = 0;
  // The same after what is in the stream, and it may return before: until synchronize_stream() the
  // host neither uses nor frees that memory.
  virtual void enqueue_download(void* host, const void* device, std::int64_t bytes) {
    download(host, device, bytes);
  }
  // As upload, of what may be sent again, to be known then by its fingerprint. The first time there
  // is none yet: it becomes that of what has arrived, which a device computes faster than a host.
  virtual void upload_again(void* device, const void* host, std::int64_t bytes,
                            std::optional<Fingerprint>& print) {
    upload(device, host, bytes);
    if (!print) print = fingerprint(device, bytes);
  }
  // Begins to bring this, in blocks of core/host_memory.h, for upload_again() of the same, which
  // then waits for it: the host may do other work meanwhile. Until the result is gone the blocks
  // stay, and nobody writes there. Null: nothing is on its way.
  struct HostRange {
    const void* data;
    std::int64_t bytes;
  };
  virtual std::shared_ptr<void> upload_ahead(const std::vector<HostRange>& /*ranges*/) {
    return nullptr;
  }
  virtual void copy(void* to, const void* from, std::int64_t bytes) = 0;
  // The same within the device, after what is in the stream; it may return before that is done.
  virtual void enqueue_copy(void* to, const void* from, std::int64_t bytes) {
    copy(to, from, bytes);
  }
  virtual void fill(void* device, unsigned char byte, std::int64_t bytes) = 0;
  // Likewise after what is in the stream, and it may return before.
  virtual void enqueue_fill(void* device, unsigned char byte, std::int64_t bytes) {
    fill(device, byte, bytes);
  }
  // Of what the memory holds after what is in the stream: equal to the host's fingerprint() of the
  // same bytes. Synchronous. By default by way of the host, a piece at a time.
  virtual Fingerprint fingerprint(const void* memory, std::int64_t bytes);

  // Whether it judges outputs where they are: whether make_reference() gives anything.
  virtual bool judges() const { return false; }
  virtual std::unique_ptr<DeviceReference> make_reference() { return nullptr; }

  virtual Stream stream() = 0;

  // Orders in which this device can run the threads of a launch, each of which shows other
  // mistakes; none: no choice.
  virtual std::vector<std::string> schedules() const { return {}; }
  virtual void use_schedule(const Execution& /*execution*/) {}

  // Waits for the work on stream() alone.
  virtual void synchronize_stream() { synchronize(); }

  // Until the result is gone, the stream does not begin what is enqueued; null where launches run
  // at once. Meanwhile peek() shows memory as it is; everything else would wait.
  virtual std::shared_ptr<void> hold() { return nullptr; }
  virtual void peek(void* host, const void* device, std::int64_t bytes) {
    download(host, device, bytes);
  }

  // Until the result is gone, other work competes for the device; null: this device has none.
  virtual std::shared_ptr<void> contend() { return nullptr; }

  // Waits for all work on the device, on any stream. Throws EnvironmentError with the device's own
  // words if some failed, DeviceLost if it ended the context.
  virtual void synchronize() = 0;

  // Why nothing works on this device any more, once a case has ended its context (DeviceLost).
  const std::string& lost() const { return lost_; }
  void lose(const std::string& why) { lost_ = why; }

  // Runs the launches one after the other and returns what each took by this device's clock,
  // without what comes before it, and how fast the multiprocessors ran meanwhile.
  virtual std::vector<Sample> time(const std::vector<TimedLaunch>& launches) = 0;
  virtual std::string clock()
      const = 0;  // "cuda_event", "steady_clock"; empty: this backend is never timed
  // Work of no length, by which it is measured what the clock reads beside a kernel.
  virtual Launch nothing() {
    return [](Stream) {};
  }

  // A launch that runs all of these, in order, as one graph; empty: this device has no graphs. What
  // cannot be recorded throws EnvironmentError.
  virtual Launch record(const std::vector<const Launch*>& /*launches*/) { return {}; }

  // Each launch as the second clock sees it; empty where there is none, and why_not says how to get
  // it.
  virtual std::vector<TracedLaunch> trace(const std::vector<TimedLaunch>& /*launches*/,
                                          std::string& /*why_not*/) {
    return {};
  }

  // The hardware's counters of these names over each kernel of a launch. All launches do the same:
  // counters that do not go together are taken over several of them, by turns. Like trace().
  virtual std::vector<CountedKernel> count(const std::vector<TimedLaunch>& /*launches*/,
                                           const std::vector<std::string>& /*names*/,
                                           std::string& why_not) {
    why_not = "counters: this backend has none";
    return {};
  }

  // Bytes per second that the best of several plain streaming kernels reaches on this device, now,
  // with this mix of arrays in memory (not cache). Measured at each call.
  virtual double measure_bandwidth(Mix mix) = 0;

  // Operations per second (a multiplication and an addition are two) that the best of several
  // kernels reaches on this device, now, with all operands at hand. Measured at each call; 0: it
  // has no such units.
  virtual double measure_arithmetic(Arithmetic /*arithmetic*/) { return 0; }

 private:
  std::string lost_;
};

// Owns device memory.
class DeviceMemory {
 public:
  DeviceMemory() = default;
  DeviceMemory(Device& device, std::int64_t bytes, Fence fence = Fence::none)
      : device_(&device),
        data_(fence == Fence::none ? device.allocate(bytes) : device.allocate_fenced(bytes, fence)),
        bytes_(bytes),
        fence_(fence) {}
  DeviceMemory(DeviceMemory&& other) noexcept { swap(other); }
  DeviceMemory& operator=(DeviceMemory&& other) noexcept {
    swap(other);
    return *this;
  }
  ~DeviceMemory() {
    if (data_ && fence_ == Fence::none) device_->release(data_);
    if (data_ && fence_ != Fence::none) device_->release_fenced(data_);
  }
  void* data() const { return data_; }
  std::int64_t bytes() const { return bytes_; }

 private:
  void swap(DeviceMemory& other) noexcept {
    std::swap(device_, other.device_);
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    std::swap(fence_, other.fence_);
  }
  Device* device_ = nullptr;
  void* data_ = nullptr;
  std::int64_t bytes_ = 0;
  Fence fence_ = Fence::none;
};

class Platform {
 public:
  virtual ~Platform() = default;
  virtual Backend backend() const = 0;
  // Cheap, and without creating a context. Empty: none is visible, and `why_none` says why.
  virtual std::vector<DeviceInfo> devices() = 0;
  virtual std::string why_none() = 0;
  virtual std::unique_ptr<Device> open(int index) = 0;

  // Throws UsageError for the first of these counters that device `index` does not have, without
  // creating a context; does nothing where that cannot be known.
  virtual void require_counters(int /*index*/, const std::vector<std::string>& /*names*/) {}
};

struct RegisterPlatform {
  explicit RegisterPlatform(std::unique_ptr<Platform> platform);
};

const std::vector<Platform*>& platforms();  // in the order of Backend; those compiled in
Platform* find_platform(Backend backend);   // null: not compiled in

}  // namespace assay
