// Launches on the simt backend: what a device would refuse is refused, the blocks are spread over
// OS threads, and the first finding ends the launch.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace assay::executor {

// In which order the threads of a block, and the blocks of a launch, take their turns. Each finds
// races that the others miss. ascending, descending: the least or the greatest thread that can run.
// random: any. starve: one warp runs only when no other can.
enum class Schedule : std::uint8_t { ascending, descending, random, starve };
inline constexpr Schedule kSchedules[] = {Schedule::ascending, Schedule::descending,
                                          Schedule::random, Schedule::starve};
std::string_view name(Schedule schedule);

// The device that is imitated. Few multiprocessors, so that persistent kernels loop over several
// tiles on small inputs.
struct DeviceModel {
  int arch = 90;
  int multiprocessors = 4;
  std::int64_t shared_per_block = 227 << 10;  // with allow_shared; 48 KB without
  std::int64_t shared_per_multiprocessor = 228 << 10;
  int threads_per_multiprocessor = 2048;
  int blocks_per_multiprocessor = 32;
};
DeviceModel device_model(int arch);  // 80 or 90

struct Settings {
  DeviceModel device;
  Schedule schedule = Schedule::ascending;
  std::uint64_t seed = 1;   // of random schedules and approximate instructions
  double timeout = 10;      // seconds of processor time without any progress: a kernel has hung
  std::int64_t trace = -1;  // the block whose collectives are printed on stderr, in order; -1: none
};
// plain, race or address: what this program was built with.
std::string_view flavour();

Settings& settings();  // of the launches to come; not to be changed while one runs

struct Kernel {
  const void* function;
  void (*call)(const void* arguments);  // calls the function with a copy of the arguments
  const void* arguments;
  std::size_t parameter_bytes;
};

struct Shape {
  std::int64_t blocks, threads, shared_bytes;
  std::int64_t cluster = 1;
};

// Why the device would refuse the launch, in its words; null: it would not.
const char* refusal(const void* function, const Shape& shape);
// Runs the launch. Throws KernelFault for a finding.
void launch(const Kernel& kernel, const Shape& shape);

// Dynamic shared memory that a launch of the function may have, as on a device: the number is set,
// whatever it was before, also below what every kernel may have at first. Returns as refusal().
const char* allow_shared(const void* function, std::int64_t bytes);
std::int64_t most_shared(const void* function);
std::int64_t resident_blocks(std::int64_t threads, std::int64_t shared_bytes);

// Grows whenever a thread of one worker got further; by that worker alone.
struct alignas(64) Progress {
  std::atomic<std::uint64_t> steps{0};
  void step() { steps.store(steps.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed); }
};

// A store into the shared memory of another block, on its way.
struct Mail {
  std::uint32_t to, barrier;  // offsets in the arena, which are the same in all blocks
  float value;
  const void* place;
};

// What the blocks of a cluster share.
struct Cluster {
  std::atomic<std::int64_t> arrived{0};  // threads, in all rounds of the cluster's barrier
  std::mutex mutex;
  std::vector<std::vector<Mail>> mail;  // by rank
};

// A launch under way.
struct Launch {
  const Kernel* kernel;
  Shape shape;
  Schedule schedule;
  std::uint64_t seed;
  std::int64_t trace;
  std::uint32_t number;  // of all launches
  std::int64_t resident;
  bool raised;  // allow_shared has been called for the kernel

  std::vector<Cluster> clusters;  // none where each block is by itself

  std::vector<Progress> progress;  // by worker
  std::atomic<bool> stop{false};
  std::atomic<bool> hung{false};
  // Apart from what is read at every switch.
  alignas(64) std::atomic<std::int64_t> next_block{0};
  std::atomic<std::int64_t> live_blocks{0};

  // Records the first finding and stops the launch.
  void report(const std::string& kind, const std::string& text);
  std::mutex mutex;
  bool found = false;
  std::string kind, text;
};

}  // namespace assay::executor
