// What the executor itself costs: a switch between fibers, a barrier of a block.
#include <benchmark/benchmark.h>

#include <cstdint>

#include "kernels/simt/executor.h"
#include "kernels/simt/fiber.h"
#include "kernels/simt/launch.h"

namespace assay::executor {
namespace {

Fiber* here = nullptr;

void come_back(Fiber& self) {
  for (;;) here->resume(self);
}

void fiber_switch(benchmark::State& state) {
  Fiber main, other;
  here = &main;
  other.reset(come_back);
  for (auto _ : state) other.resume(main);
  state.SetItemsProcessed(2 * state.iterations());  // there and back
}
BENCHMARK(fiber_switch);

constexpr int kBarriers = 1000;

// Time of one sync_threads of a block of range(0) threads.
void sync_threads(benchmark::State& state) {
  settings() = {};
  settings().schedule = kSchedules[state.range(1)];
  const auto body = [](const void*) {
    for (int i = 0; i < kBarriers; ++i) sync_block();
  };
  const Kernel kernel = {nullptr, body, nullptr, 0};
  for (auto _ : state) launch(kernel, {1, state.range(0), 0});
  state.SetItemsProcessed(state.iterations() * kBarriers);
  state.SetLabel(std::string(name(settings().schedule)));
}
BENCHMARK(sync_threads)->ArgsProduct({{32, 256, 1024}, {0, 2}});

}  // namespace
}  // namespace assay::executor
