// Work that is not done on the given stream, or that only its first replay does.
#include <chrono>
#include <cstring>
#include <thread>

#include "kernels/liars/attnres_fwd/liar.h"
#include "kernels/liars/attnres_fwd/own.h"

namespace assay::ASSAY_TWIN::liars_attnres_fwd {

#if ASSAY_SIMT

// Outputs of a run, which a thread writes to their place later. Ends with the launch's last copy.
struct Later {
  explicit Later(const Arguments& to)
      : a(to), o(to.queries * to.tokens * to.dim), lse(to.queries * to.tokens) {}
  ~Later() { wait(); }
  void wait() {
    if (thread.joinable()) thread.join();
  }
  void start() {
    wait();
    Arguments own = a;
    own.o.data = o.get();
    own.lse.data = lse.get();
    run<Correct>(own, Stream{});
    thread = std::thread([this] {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      const auto bytes = [](const AnyOutput& to, std::int64_t count) {
        return static_cast<std::size_t>(count) * size_of(to.dtype);
      };
      std::memcpy(a.o.data, o.get(), bytes(a.o, a.queries * a.tokens * a.dim));
      std::memcpy(a.lse.data, lse.get(), bytes(a.lse, a.queries * a.tokens));
    });
  }
  Arguments a;
  Own<float> o, lse;
  std::thread thread;
};
ASSAY_WRONG(
    writes_later, Correct, .bug = "a thread of its own writes the outputs 20 ms after the launch",
    .caught_by = caught_on(
        {.cuda = {}, .plain = {"interval"}, .race = {"interval"}, .address = {"interval"}}),
    .problem = "attnres_fwd N=2 Q=1 T=3 D=8",
    .prepare = [](const Problem& p, const Buffers& buffers) -> Launch {
      return [later = std::make_shared<Later>(arguments(p, buffers))](Stream) { later->start(); };
    });

// Writes what LSE holds once more, a millisecond after the launch.
struct Again {
  explicit Again(Arguments arguments) : a(arguments) {}
  ~Again() { wait(); }
  Again(const Again&) = delete;
  Again& operator=(const Again&) = delete;
  void wait() {
    if (thread.joinable()) thread.join();
  }
  void start() {
    kept.resize(static_cast<std::size_t>(a.queries) * static_cast<std::size_t>(a.tokens));
    for (std::size_t i = 0; i < kept.size(); ++i)
      kept[i] = AnyInput{a.lse.data, a.lse.dtype}.load(static_cast<std::int64_t>(i));
    thread = std::thread([this] {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      for (std::size_t i = 0; i < kept.size(); ++i)
        a.lse.store(static_cast<std::int64_t>(i), kept[i]);
    });
  }
  Arguments a;
  std::vector<float> kept;
  std::thread thread;
};
ASSAY_WRONG(
    writes_again, Correct,
    .bug =
        "a thread of its own writes LSE once more, the same values, after the launch has returned",
    .caught_by = {"stream"}, .prepare = [](const Problem& p, const Buffers& buffers) -> Launch {
      return [a = arguments(p, buffers),
              again = std::make_shared<Again>(arguments(p, buffers))](Stream stream) {
        again->wait();
        run<Correct>(a, stream);
        again->start();
      };
    });

#else

// About a millisecond.
ASSAY_KERNEL(1) void spin() {
  const long long end = clock64() + 1'500'000;
  while (clock64() < end) {
  }
}

ASSAY_WRONG(
    own_stream_late, Correct,
    .bug =
        "computes on a stream of its own, late; whoever waits for the whole device, "
        "or captures a graph, sees right outputs",
    .caught_by = {"stream"}, .prepare = [](const Problem& p, const Buffers& buffers) -> Launch {
      return [a = arguments(p, buffers), own = own_stream()](Stream stream) {
        if (is_capturing(stream)) return run<Correct>(a, stream);
        launch(spin, {.stream = {own.get()}});
        run<Correct>(a, {own.get()});
      };
    });

ASSAY_WRONG(
    forks_without_join, Correct,
    .bug = "the second half of the tokens runs on a stream that is forked and not joined",
    .caught_by = {"stream"}, .prepare = [](const Problem& p, const Buffers& buffers) -> Launch {
      return [a = arguments(p, buffers), own = own_stream(), event = own_event()](Stream stream) {
        if (is_capturing(stream)) return run<Correct>(a, stream);
        auto* forked = static_cast<cudaEvent_t>(event.get());
        check(cudaEventRecord(forked, native(stream)), "forking");
        check(cudaStreamWaitEvent(native({own.get()}), forked), "forking");
        launch(spin, {.stream = {own.get()}});
        run<Correct>(a, {own.get()});
        launch(attend<Correct>, grid(a, (a.tokens + 1) / 2, stream), a);
      };
    });

ASSAY_WRONG(
    correct_fork, Correct, .bug = "", .caught_by = {},
    .prepare = [](const Problem& p, const Buffers& buffers) -> Launch {
      return [a = arguments(p, buffers), own = own_stream(), event = own_event(),
              joined = own_event()](Stream stream) {
        auto* fork = static_cast<cudaEvent_t>(event.get());
        auto* join = static_cast<cudaEvent_t>(joined.get());
        check(cudaEventRecord(fork, native(stream)), "forking");
        check(cudaStreamWaitEvent(native({own.get()}), fork), "forking");
        launch(spin, {.stream = {own.get()}});
        run<Correct>(a, {own.get()});
        check(cudaEventRecord(join, native({own.get()})), "joining");
        check(cudaStreamWaitEvent(native(stream), join), "joining");
      };
    });

// Each launch announces work in host memory; the kernel does what was announced and not yet done.
struct Announced : Correct {
  ASSAY_DEVICE static bool skips(const Arguments& a, std::int64_t) {
    return *static_cast<volatile int*>(a.calls) <= *reinterpret_cast<int*>(a.scratch);
  }
};
ASSAY_KERNEL(1) void take_announced(Arguments a) {
  int* done = reinterpret_cast<int*>(a.scratch);
  if (*static_cast<volatile int*>(a.calls) > *done) ++*done;
}
ASSAY_WRONG(
    second_replay_does_nothing, Correct,
    .bug =
        "the host announces each launch to the kernel, which a replayed graph does not: "
        "from the second replay on nothing is done",
    .caught_by = {"replay"}, .prepare = [](const Problem& p, const Buffers& buffers) -> Launch {
      void* mapped = nullptr;
      check(cudaHostAlloc(&mapped, sizeof(int), cudaHostAllocMapped), "memory of a liar");
      std::memset(mapped, 0, sizeof(int));
      const std::shared_ptr<void> announced(mapped, [](void* m) { cudaFreeHost(m); });
      const Own<int> done(1);
      Arguments a = arguments(p, buffers);
      a.calls = static_cast<int*>(announced.get());
      a.scratch = reinterpret_cast<float*>(done.get());
      return [a, announced, done](Stream stream) {
        volatile int* const launches = a.calls;
        *launches = *launches + 1;
        run<Announced>(a, stream);
        launch(take_announced, {.stream = stream}, a);
      };
    });

#endif

}  // namespace assay::ASSAY_TWIN::liars_attnres_fwd
