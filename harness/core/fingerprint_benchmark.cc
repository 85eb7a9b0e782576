// Speed of fingerprints of host memory: of a block that stays in the cache, and of one that does
// not, by all threads.
#include <benchmark/benchmark.h>

#include <vector>

#include "harness/core/fingerprint.h"

namespace assay {
namespace {

void fingerprint_of_host_memory(benchmark::State& state) {
  const std::vector<char> memory(static_cast<std::size_t>(state.range(0)), 'x');
  for (auto _ : state) benchmark::DoNotOptimize(fingerprint(memory.data(), state.range(0)));
  state.SetBytesProcessed(state.iterations() * state.range(0));
}

BENCHMARK(fingerprint_of_host_memory)->Arg(1 << 15)->Arg(1 << 28)->UseRealTime();

}  // namespace
}  // namespace assay
