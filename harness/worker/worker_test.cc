// A sweep survives its cases: whatever one does to its process becomes its verdict, and the next
// one passes.
#include "harness/worker/worker.h"

#include <sys/mman.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <memory>
#include <set>
#include <thread>

#include "harness/core/error.h"
#include "harness/core/liar.h"
#include "harness/core/named_memory.h"
#include "harness/core/parallel.h"
#include "harness/core/registry.h"
#include "harness/engine/suite.h"
#include "harness/testing.h"
#include "harness/worker/protocol.h"
#include "harness/worker/supervisor.h"
#include "kernels/simt/launch.h"
#include "reports/jsonl.h"

namespace assay {
namespace {

const Variant& variant_named(const std::string& id) {
  for (const Variant* variant : variants())
    if (variant->id() == id) return *variant;
  throw std::logic_error(id + " is not registered");
}

const Variant& correct(Backend backend = Backend::cpu) {
  return variant_named("attnres_fwd/fused@" + std::string(name(backend)));
}

// A page of memory named V before one that may not be touched.
char* end_before_fence() {
  static char* end = [] {
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    auto* memory = static_cast<char*>(
        mmap(nullptr, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    mprotect(memory + page, page, PROT_NONE);
    static const NamedMemory name(memory, static_cast<std::int64_t>(page), "V");
    return memory + page;
  }();
  return end;
}

volatile int deepest = -1;  // without end, which the compiler must not know

// NOLINTNEXTLINE(misc-no-recursion): that is the point
int overflow(int depth) {
  volatile char frame[4096];
  frame[0] = static_cast<char>(depth);
  return depth == deepest ? 0 : overflow(depth + 1) + frame[0];
}

volatile std::uintptr_t nowhere = 0x10;

// NOLINTNEXTLINE(performance-no-int-to-ptr): nobody's address
void crash() { *reinterpret_cast<volatile int*>(nowhere) = 1; }

[[noreturn]] void hang() {
  for (volatile int i = 0;;) i = 1 - i;
}

// Runs `body` as a kernel of one warp, on fibers.
void launch_on_simt(void (*body)()) {
  executor::launch({reinterpret_cast<const void*>(body),
                    [](const void* function) {
                      // NOLINTNEXTLINE(performance-no-int-to-ptr): a function's own address
                      reinterpret_cast<void (*)()>(reinterpret_cast<std::uintptr_t>(function))();
                    },
                    reinterpret_cast<const void*>(body), 0},
                   {1, 32, 0});
}

void plant(const char* name, Backend backend, void (*after)(int run)) {
  Liar liar;
  liar.bug = name;
  liar.variant = correct(backend);
  const auto prepare = liar.variant.prepare;
  liar.variant.name = name;
  liar.variant.prepare = [prepare, after](const Problem& p, const Buffers& b) -> Launch {
    return [launch = prepare(p, b), after, run = std::make_shared<int>(0)](Stream stream) {
      launch(stream);
      after((*run)++);
    };
  };
  static_cast<void>(RegisterLiar(std::move(liar)));
}

void plant_all() {
  plant("segfault", Backend::cpu, [](int) { crash(); });
  plant("abort", Backend::cpu, [](int) { std::abort(); });
  plant("exit", Backend::cpu, [](int) { std::exit(3); });
  plant("kill", Backend::cpu, [](int) { kill(getpid(), SIGKILL); });
  plant("loop", Backend::cpu, [](int) { hang(); });
  plant("throw", Backend::cpu, [](int) { throw std::runtime_error("the device is on fire"); });
  plant("throw_int", Backend::cpu, [](int) { throw 42; });
  plant("throw_elsewhere", Backend::cpu,
        [](int) { std::thread([] { throw std::runtime_error("nobody catches this"); }).join(); });
  plant("overflow", Backend::cpu, [](int) { overflow(0); });
  plant("overflow_elsewhere", Backend::cpu, [](int) {
    parallel_for(2, 1, [](std::int64_t part, std::int64_t) {
      if (part == std::min(2, num_threads()) - 1) overflow(0);
    });
  });
  plant("read_fence", Backend::cpu,
        [](int) { static_cast<void>(static_cast<volatile char*>(end_before_fence())[32]); });
  plant("write_fence", Backend::cpu,
        [](int) { static_cast<volatile char*>(end_before_fence())[0] = 1; });
  plant("second_family", Backend::cpu, [](int run) {
    if (run == 2) crash();
  });
  plant("later", Backend::cpu, [](int) {
    static std::thread late;
    if (late.joinable()) return;
    late = std::thread([] {
      usleep(1'500'000);  // longer than the case takes
      crash();
    });
    late.detach();
  });
  plant("lose", Backend::cpu, [](int) { throw DeviceLost("an illegal address"); });
  plant("segfault", Backend::simt, [](int) { launch_on_simt(crash); });
  plant("overflow", Backend::simt, [](int) { launch_on_simt([] { overflow(0); }); });
  plant("loop", Backend::simt, [](int) { launch_on_simt([] { hang(); }); });
}

constexpr const char* kWorkerTest = "is the worker of other tests";

// This very program.
std::vector<std::string> worker_command() {
  return {"/proc/self/exe", kWorkerTest, "--out", "/dev/null"};
}

struct Sweep {
  Supervisor supervisor{worker_command()};
  std::vector<DeviceInfo> devices = {find_platform(Backend::cpu)->devices().at(0),
                                     find_platform(Backend::simt)->devices().at(0)};
  RunOptions options;
  Sweep() {
    options.verify_only = true;
    options.verify.execution.timeout = 0.5;
  }
  Record run(const std::string& name, Backend backend, bool is_liar) {
    Variant variant = correct(backend);
    variant.name = name;
    const DeviceInfo& device = devices.at(backend == Backend::cpu ? 0 : 1);
    return supervisor.run(
        {parse_problem("attnres_fwd dtype=f32 N=5 Q=2 T=7 D=33"), &variant, &device, is_liar},
        options);
  }
  Record run_liar(const std::string& name, Backend backend = Backend::cpu) {
    return run(name, backend, true);
  }
  Record run_good() { return run("fused", Backend::cpu, false); }
};

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("is the worker of other tests", "[.]") {
  plant_all();
  try {
    worker_main();
  } catch (const UsageError& nobodys) {
    WARN(nobodys.what());
  }
}

TEST_CASE("what a case does to its process becomes its verdict, and the next case passes") {
  struct Expectation {
    const char* liar;
    Backend backend;
    Status status;
    const char* kind;  // of its only check; null: none
    std::vector<const char*> says;
    bool ends_worker;
  };
  const auto cpu = Backend::cpu, simt = Backend::simt;
  const Expectation all[] = {
      {"segfault",
       cpu,
       Status::crashed,
       "crash",
       {"SIGSEGV: wrote address 0x10, in a launch"},
       true},
      {"abort", cpu, Status::crashed, "crash", {"SIGABRT, in a launch"}, true},
      {"exit", cpu, Status::crashed, "crash", {"ended its process with exit code 3"}, true},
      {"kill", cpu, Status::crashed, "crash", {"SIGKILL"}, true},
      {"loop", cpu, Status::timeout, "hang", {"had not ended after 0.5 s, in a launch"}, true},
      {"throw", cpu, Status::error, nullptr, {"the device is on fire"}, false},
      {"throw_int", cpu, Status::error, nullptr, {"no std::exception"}, false},
      {"throw_elsewhere", cpu, Status::crashed, "crash", {"SIGABRT: nobody catches this"}, true},
      {"overflow", cpu, Status::crashed, "crash", {"SIGSEGV: stack overflow"}, true},
      {"overflow_elsewhere", cpu, Status::crashed, "crash", {"SIGSEGV: stack overflow"}, true},
      {"read_fence", cpu, Status::crashed, "fence", {"read 32 bytes after the end of V"}, true},
      {"write_fence",
       cpu,
       Status::crashed,
       "fence",
       {"wrote the first byte after the end of V"},
       true},
      {"second_family", cpu, Status::crashed, "crash", {"in a launch (family "}, true},
      {"lose", cpu, Status::crashed, "crash", {"an illegal address (family "}, true},
      {"segfault", simt, Status::crashed, "crash", {"SIGSEGV: wrote address 0x10"}, true},
      {"overflow", simt, Status::crashed, "crash", {"SIGSEGV: stack overflow"}, true},
      {"loop", simt, Status::timeout, "hang", {"no thread got any further", "warp 0"}, false},
  };
  Sweep sweep;
  for (const Expectation& expected : all) {
    INFO(expected.liar << " on " << name(expected.backend));
    const int before = sweep.supervisor.started();
    const Record record = sweep.run_liar(expected.liar, expected.backend);
    INFO(record.reason);
    CHECK(record.status == expected.status);
    for (const char* text : expected.says) CHECK(contains(record.reason, text));
    if (expected.kind) {
      REQUIRE(!record.checks.empty());
      CHECK(record.checks.back().kind == expected.kind);
      CHECK(!record.checks.back().family.empty());
      CHECK(record.numerics ==
            str(correct(expected.backend).numerics(parse_problem(record.problem))));
    }
    CHECK(record.variant == expected.liar);
    CHECK(record.repro == "assay run 'attnres_fwd dtype=f32 N=5 Q=2 T=7 D=33' --variant " +
                              std::string(expected.liar) + "@" +
                              std::string(name(expected.backend)) + " --seed 1");
    const Record next = sweep.run_good();
    INFO(next.reason);
    CHECK(next.status == Status::passed);
    CHECK(sweep.supervisor.started() == std::max(before, 1) + (expected.ends_worker ? 1 : 0));
  }
}

TEST_CASE("a worker that dies between cases is replaced") {
  Sweep sweep;
  // The verdict is that of its thread, which is left running; what that does comes later.
  CHECK(sweep.run_liar("later").status == Status::failed);
  usleep(2'500'000);
  CHECK(sweep.run_good().status == Status::passed);
  CHECK(sweep.supervisor.started() == 2);
}

TEST_CASE("a supervised record equals that of this process") {
  Sweep sweep;
  InProcess here;
  for (const char* id :
       {"attnres_fwd/fused@cpu", "attnres_fwd/naive@cpu", "attnres_fwd/fused@simt"}) {
    for (const char* text :
         {"attnres_fwd dtype=f32 N=5 Q=2 T=7 D=33", "attnres_fwd dtype=bf16 N=2 T=3 D=64"}) {
      const Variant& variant = variant_named(id);
      const Job job = {parse_problem(text), &variant,
                       &sweep.devices.at(variant.backend == Backend::cpu ? 0 : 1)};
      Record supervised = sweep.supervisor.run(job, sweep.options);
      Record own = here.run(job, sweep.options);
      CHECK(supervised.seconds > 0);
      supervised.seconds = own.seconds = 0;
      CHECK(!supervised.spent.empty());
      std::set<std::string> expenses;  // each once: they become the keys of an object
      for (const auto& [expense, seconds] : own.spent) expenses.insert(expense);
      CHECK(expenses.size() == own.spent.size());
      supervised.spent = own.spent = {};
      CHECK(to_json(supervised) == to_json(own));
    }
  }
  CHECK(sweep.supervisor.started() == 1);
}

TEST_CASE("a worker that cannot start is an error that says why, not an endless loop") {
  const DeviceInfo device = find_platform(Backend::cpu)->devices().at(0);
  const Job job = {parse_problem("attnres_fwd N=2 T=1 D=8"), &correct(), &device};
  const auto failure = [&](std::vector<std::string> command) -> std::string {
    Supervisor supervisor(std::move(command));
    try {
      supervisor.run(job, {});
    } catch (const EnvironmentError& error) {
      return error.what();
    }
    return "";
  };
  CHECK(contains(failure({"/nonexistent/assay"}), "No such file"));
  CHECK(contains(failure({"/bin/false"}), "ended its process with exit code 1"));
}

TEST_CASE("a job survives its line exactly") {
  RunOptions options;
  options.seed = 0xfedcba9876543210;
  options.verify_only = true;
  options.measure.sampling = {
      .min_samples = 11, .min_seconds = 0.1, .noise = 0.3, .max_seconds = 1e-3, .max_samples = 12};
  options.measure.caches = "hot,graph";
  options.measure.trace = false;
  options.measure.counters = "a.sum,b.pct";
  options.limits_again = true;
  options.verify.execution.schedule = "starve";
  options.verify.execution.timeout = 0.07;
  options.verify.execution.trace_block = 5;
  options.environment = "0123456789abcdef";
  DeviceInfo device;
  device.index = 1;
  const Problem problem = parse_problem("attnres_fwd dtype=bf16 N=2 T=1 D=8 eps=1.1e-05");
  const Order order = read_order(to_line({problem, &correct(), &device}, options));
  CHECK(order.problem == problem);
  CHECK(order.variant == &correct());
  CHECK(order.device == 1);
  CHECK(order.options.seed == options.seed);
  CHECK(order.options.verify_only);
  CHECK(order.options.measure.sampling.min_samples == 11);
  CHECK(order.options.measure.sampling.min_seconds == 0.1);
  CHECK(order.options.measure.sampling.max_seconds == 1e-3);
  CHECK(order.options.measure.sampling.max_samples == 12);
  CHECK(order.options.measure.sampling.noise == 0.3);
  CHECK(order.options.measure.caches == "hot,graph");
  CHECK_FALSE(order.options.measure.trace);
  CHECK(order.options.measure.counters == "a.sum,b.pct");
  CHECK(order.options.limits_again);
  CHECK(order.options.verify.execution.schedule == "starve");
  CHECK(order.options.verify.execution.timeout == 0.07);
  CHECK(order.options.verify.execution.trace_block == 5);
  CHECK(order.options.environment == options.environment);
}

TEST_CASE("an address is blamed on the nearest named buffer") {
  static char memory[3000];
  const auto at = [](std::int64_t offset) {
    return NamedMemory::nearest(reinterpret_cast<std::uintptr_t>(memory) +
                                static_cast<std::uintptr_t>(offset));
  };
  const NamedMemory a(memory, 1000, "A");
  {
    const NamedMemory b(memory + 2000, 1000, "B");
    CHECK(std::string(at(0).name) == "A");
    CHECK(std::string(at(1400).name) == "A");
    CHECK(at(1400).offset == 1400);
    CHECK(std::string(at(1600).name) == "B");
    CHECK(at(1600).offset == -400);
    CHECK(std::string(at(2999).name) == "B");
  }
  CHECK(std::string(at(1600).name) == "A");
}

}  // namespace assay
