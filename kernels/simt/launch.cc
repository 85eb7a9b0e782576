#include "kernels/simt/launch.h"

#include <pthread.h>
#include <sched.h>
#include <time.h>
#include <ucontext.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <exception>
#include <map>
#include <memory>
#include <numeric>
#include <thread>

#include "harness/core/black_box.h"
#include "harness/core/error.h"
#include "harness/core/parallel.h"
#include "harness/core/problem.h"
#include "kernels/simt/block.h"
#include "kernels/simt/finding.h"

#if ASSAY_SIMT_ADDRESS
#include <fcntl.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace assay::executor {

std::string_view name(Schedule schedule) {
  switch (schedule) {
    case Schedule::ascending:
      return "ascending";
    case Schedule::descending:
      return "descending";
    case Schedule::random:
      return "random";
    case Schedule::starve:
      return "starve";
  }
  return "";
}

DeviceModel device_model(int arch) {
  DeviceModel model;
  model.arch = arch;
  if (arch < 90) {
    model.shared_per_block = 163 << 10;
    model.shared_per_multiprocessor = 164 << 10;
  }
  return model;
}

std::string_view flavour() { return kRace ? "race" : kAddress ? "address" : "plain"; }

Settings& settings() {
  static Settings instance;
  return instance;
}

void Launch::report(const std::string& new_kind, const std::string& new_text) {
  const std::scoped_lock lock(mutex);
  if (!found) {
    found = true;
    kind = new_kind;
    text = new_text;
  }
  stop = true;
}

namespace {

constexpr int kMaxCluster = 8;  // that every device with clusters has
constexpr std::int64_t kPlainShared = 48 << 10;
constexpr std::int64_t kReservedShared = 1 << 10;  // that each resident block takes besides

std::map<const void*, std::int64_t>& allowed_shared() {
  static std::map<const void*, std::int64_t> allowed;
  return allowed;
}

// One to an OS thread.
struct Worker {
  Fiber fiber;
  std::vector<std::unique_ptr<Block>> free;
  std::vector<std::unique_ptr<Block>> live;
};

Worker& this_worker() {
  thread_local Worker worker;
  return worker;
}

// --- the watchdog

constexpr int kHangSignal = SIGURG;  // which nobody minds

// An OS thread that runs blocks.
struct Watchee {
  pthread_t thread;
  clockid_t clock;    // its time on a processor
  double busy_until;  // that time, in seconds, when the launch was last seen to get further
};

struct Watch {
  std::mutex mutex;
  Launch* launch = nullptr;
  std::vector<Watchee> workers;
  double timeout = 0;
};

Watch& watch() {
  static auto* instance = new Watch;  // its thread may outlive every static
  return *instance;
}

std::string hang_of(Block& block) {
  return "no thread got any further for " + str(OptionValue(settings().timeout)) +
         " s of processor time; block " + std::to_string(block.index()) + ":\n" +
         block.whereabouts();
}

// On a thread that runs a kernel which neither ends nor ever waits: its fiber is left for good.
void on_hang(int, siginfo_t*, void* context) {
  // A finding is being written: the hang's own, or another that comes first.
  if (current == nullptr || is_naming_place()) return;
#if defined(__x86_64__)
  const auto at =
      static_cast<std::uintptr_t>(static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_RIP]) +
      1;
#elif defined(__aarch64__)
  const auto at =
      static_cast<std::uintptr_t>(static_cast<ucontext_t*>(context)->uc_mcontext.pc) + 1;
#else
  static_cast<void>(context);
  const std::uintptr_t at = 0;
#endif
  Block& block = *current->block;
  if (!block.launch().hung) return;
  // Looking up places takes longer than a tick, and the next signal finds this one at work.
  static thread_local std::uint32_t handled = 0;
  if (handled == block.launch().number) return;
  handled = block.launch().number;
  const int thread = current->index();
  block.thread(thread).state = State::polling;
  block.thread(thread).operation = "a loop";
  block.thread(thread).place =
      reinterpret_cast<const void*>(at);  // NOLINT(performance-no-int-to-ptr): a register's value
  block.fail("hang", hang_of(block));
}

double seconds(clockid_t clock) {
  timespec now = {};
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

void watch_this_worker() {
  Watchee self = {pthread_self(), {}, 0};
  if (pthread_getcpuclockid(self.thread, &self.clock) != 0)
    throw EnvironmentError("this system has no clock of a thread's processor time");
  self.busy_until = seconds(self.clock);
  const std::scoped_lock lock(watch().mutex);
  watch().workers.push_back(self);
}

// Idleness is a worker's time on a processor without a step of the launch: neither a stopped
// debugger counts, nor a machine that is busy with something else, nor addr2line, whose end the
// report of another finding awaits.
void watch_launches() {
  Watch& state = watch();
  std::uint64_t last = 0;
  std::uint32_t number = 0;
  for (;;) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    const std::scoped_lock lock(state.mutex);
    Launch* launch = state.launch;
    if (launch == nullptr) continue;
    std::uint64_t now = 0;
    for (const Progress& worker : launch->progress) now += worker.steps;
    const bool further = now != last || launch->number != number;
    if (further) note_progress();
    last = now, number = launch->number;
    double idle = 0;  // of the worker that has spun longest
    for (Watchee& worker : state.workers) {
      const double busy = seconds(worker.clock);
      if (further) worker.busy_until = busy;
      idle = std::max(idle, busy - worker.busy_until);
    }
    if (idle < state.timeout) continue;
    if (!launch->hung.exchange(true)) continue;
    // Those that poll notice by themselves; the others a tick later, by force.
    if (launch->stop) continue;
    for (const Watchee& worker : state.workers) pthread_kill(worker.thread, kHangSignal);
  }
}

void start_watchdog() {
  static const bool started = [] {
    struct sigaction action = {};
    action.sa_sigaction = on_hang;
    action.sa_flags = SA_SIGINFO | SA_NODEFER | SA_RESTART;
    sigaction(kHangSignal, &action, nullptr);
    std::thread(watch_launches).detach();
    return true;
  }();
  static_cast<void>(started);
}

struct Watched {
  explicit Watched(Launch& launch) {
    start_watchdog();
    const std::scoped_lock lock(watch().mutex);
    watch().launch = &launch;
    watch().workers.clear();
    watch().timeout = settings().timeout;
  }
  ~Watched() {
    const std::scoped_lock lock(watch().mutex);
    watch().launch = nullptr;
    watch().workers.clear();
  }
};

// The sanitizers' own reports of what address.cc reports.
struct Muted {
#if ASSAY_SIMT_ADDRESS
  Muted() {
    static const std::intptr_t null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    __sanitizer_set_report_fd(reinterpret_cast<void*>(null));
  }
  ~Muted() { __sanitizer_set_report_fd(reinterpret_cast<void*>(std::intptr_t{2})); }
#endif
};

// --- blocks

// The cluster that is started as number i.
std::int64_t cluster_in_order(const Launch& launch, std::int64_t i) {
  const std::int64_t blocks = launch.shape.blocks / launch.shape.cluster;
  switch (launch.schedule) {
    case Schedule::descending:
      return blocks - 1 - i;
    case Schedule::random: {
      auto step = static_cast<std::int64_t>((launch.seed * 0x9e3779b97f4a7c15u >> 33) %
                                            static_cast<std::uint64_t>(blocks)) |
                  1;
      while (std::gcd(step, blocks) != 1) ++step;
      return (i * step + static_cast<std::int64_t>(launch.seed % 1024)) %
             blocks;  // below 2^62 + 2^10
    }
    default:
      return i;
  }
}

// The block that is started as number i. Those of a cluster follow each other: it is never the
// later ones that keep an earlier one from being whole.
std::int64_t block_in_order(const Launch& launch, std::int64_t i) {
  const std::int64_t cluster = launch.shape.cluster;
  return cluster_in_order(launch, i / cluster) * cluster + i % cluster;
}

void work(Launch& launch, Progress& progress) {
  Worker& worker = this_worker();
  const auto recycle = [&](std::size_t which) {
    worker.free.push_back(std::move(worker.live[which]));
    worker.live.erase(worker.live.begin() + static_cast<std::ptrdiff_t>(which));
    --launch.live_blocks;
  };
  const auto start = [&] {
    const std::int64_t i = launch.next_block++;
    if (i >= launch.shape.blocks) return false;
    if (worker.free.empty()) worker.free.push_back(std::make_unique<Block>());
    worker.live.push_back(std::move(worker.free.back()));
    worker.free.pop_back();
    ++launch.live_blocks;
    worker.live.back()->begin(launch, block_in_order(launch, i), progress);
    return true;
  };
  bool idle = false;  // every live block waits for others
  while (!launch.stop) {
    if (worker.live.empty()) {
      if (!start()) return;
    } else if (idle && launch.live_blocks < launch.resident) {
      start();
    }
    idle = true;
    for (std::size_t i = 0; i < worker.live.size() && !launch.stop;) {
      const Block::Outcome outcome = worker.live[i]->run(worker.fiber);
      idle = idle && outcome == Block::Outcome::polling;
      if (outcome == Block::Outcome::done) {
        recycle(i);
      } else {
        ++i;
      }
    }
    if (idle && launch.hung) {
      launch.report("hang", hang_of(*worker.live.front()));
    }
    if (idle) sched_yield();
  }
  while (!worker.live.empty()) recycle(worker.live.size() - 1);
}

}  // namespace

const char* refusal(const void* function, const Shape& shape) {
  if (shape.blocks < 1 || shape.threads < 1 || shape.threads > kMaxThreads ||
      shape.shared_bytes < 0) {
    return "invalid argument";
  }
  const int most = settings().device.arch >= 90 ? kMaxCluster : 1;
  if (shape.cluster < 1 || shape.cluster > most || shape.blocks % shape.cluster != 0) {
    return "invalid cluster";
  }
  return shape.shared_bytes > most_shared(function) ? "invalid argument" : nullptr;
}

std::int64_t most_shared(const void* function) {
  const auto allowed = allowed_shared().find(function);
  return allowed == allowed_shared().end() ? kPlainShared : allowed->second;
}

const char* allow_shared(const void* function, std::int64_t bytes) {
  if (bytes < 0 || bytes > settings().device.shared_per_block) return "invalid argument";
  allowed_shared()[function] = bytes;
  return nullptr;
}

std::int64_t resident_blocks(std::int64_t threads, std::int64_t shared_bytes) {
  const DeviceModel& device = settings().device;
  const std::int64_t warps = (threads + kWarp - 1) / kWarp;
  const std::int64_t each = std::min<std::int64_t>(
      {device.blocks_per_multiprocessor, device.threads_per_multiprocessor / (warps * kWarp),
       device.shared_per_multiprocessor / (shared_bytes + kReservedShared)});
  return std::max<std::int64_t>(1, each * device.multiprocessors);
}

void launch(const Kernel& kernel, const Shape& shape) {
  static std::atomic<std::uint32_t> launches{0};
  Launch state;
  state.kernel = &kernel;
  state.shape = shape;
  state.schedule = settings().schedule;
  state.seed = settings().seed;
  state.trace = settings().trace;
  state.number = ++launches;
  state.resident = resident_blocks(shape.threads, shape.shared_bytes);
  if (shape.cluster > 1) {  // whole ones
    state.resident = std::max<std::int64_t>(1, state.resident / shape.cluster) * shape.cluster;
    state.clusters = std::vector<Cluster>(static_cast<std::size_t>(shape.blocks / shape.cluster));
    for (Cluster& cluster : state.clusters)
      cluster.mail.resize(static_cast<std::size_t>(shape.cluster));
  }
  state.raised = allowed_shared().count(kernel.function) > 0;
  // A worker for each part; none takes more than one.
  const std::int64_t workers =
      std::min<std::int64_t>({num_threads(), shape.blocks, state.resident});
  state.progress = std::vector<Progress>(static_cast<std::size_t>(workers));
  {
    const Watched watched(state);
    [[maybe_unused]] const Muted muted;
    parallel_for(workers, 1, [&](std::int64_t worker, std::int64_t) {
      try {
        watch_this_worker();
        work(state, state.progress[static_cast<std::size_t>(worker)]);
      } catch (const std::exception& error) {
        state.report("environment", error.what());
      }
    });
  }
  if (!state.found) return;
  if (state.kind == "environment") throw EnvironmentError(state.text);
  throw KernelFault(state.kind, state.text);
}

}  // namespace assay::executor
