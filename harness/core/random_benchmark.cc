// Speed of the input generator on one core, in bytes of fp32 made per second, per instruction set.
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "harness/core/random.h"

namespace assay {
namespace {

template <class Value, class Draw>
void generate(benchmark::State& state, Draw draw) {
  const auto isa = static_cast<Isa>(state.range(0));
  if (!available(isa)) {
    state.SkipWithError("this machine does not have the instruction set");
    return;
  }
  std::vector<Value> values(1 << 16);  // 256 KiB: stays in the cache
  for (auto _ : state) {
    draw({1, 2}, 0, static_cast<std::int64_t>(values.size()), values.data(), isa);
    benchmark::ClobberMemory();
  }
  state.SetLabel(std::string(name(isa)));
  state.SetBytesProcessed(state.iterations() *
                          static_cast<std::int64_t>(values.size() * sizeof(Value)));
}

void random_bits(benchmark::State& state) { generate<std::uint32_t>(state, assay::random_bits); }
void random_uniform(benchmark::State& state) { generate<float>(state, assay::random_uniform); }
void random_gaussian(benchmark::State& state) { generate<float>(state, assay::random_gaussian); }

BENCHMARK(random_bits)->DenseRange(0, 2);
BENCHMARK(random_uniform)->DenseRange(0, 2);
BENCHMARK(random_gaussian)->DenseRange(0, 2);

}  // namespace
}  // namespace assay
