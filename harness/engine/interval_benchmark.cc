// Speed of judging outputs by all threads, in elements per second: outputs that are the rounding of
// the reference but for a share of the elements, in thousandths, which are off by an ulp and within
// the bound.
#include <benchmark/benchmark.h>

#include <cmath>
#include <string>
#include <vector>

#include "harness/core/parallel.h"
#include "harness/engine/interval.h"

namespace assay {
namespace {

template <class T>
void judge_outputs(benchmark::State& state) {
  const std::int64_t size = state.range(1);
  const TensorSpec spec{"O", Role::out, dtype_of<T>, {size}, {1}};
  Expected expected("O", size);
  std::vector<T> got(static_cast<std::size_t>(size));
  for (std::int64_t i = 0; i < size; ++i) {
    const auto at = static_cast<std::size_t>(i);
    expected.value[at] = std::sin(0.7 * static_cast<double>(i));
    expected.bound[at] = std::abs(expected.value[at]) * (dtype_of<T> == DType::f32 ? 1e-6 : 1e-2);
    const bool is_off = i % 1000 < state.range(0);
    got[at] = round_to<T>(expected.value[at] * (!is_off                     ? 1
                                                : dtype_of<T> == DType::f32 ? 1 + 1e-7
                                                                            : 1 + 6e-3));
  }
  for (auto _ : state) benchmark::DoNotOptimize(judge(spec, got.data(), expected).wrong);
  state.SetItemsProcessed(state.iterations() * size);
  state.SetLabel(std::to_string(num_threads()) + " threads");
}

BENCHMARK(judge_outputs<bf16>)
    ->Args({2, 1 << 14})
    ->ArgsProduct({{0, 2, 20, 300}, {1 << 24}})
    ->UseRealTime();
BENCHMARK(judge_outputs<f16>)->Args({20, 1 << 24})->UseRealTime();
BENCHMARK(judge_outputs<float>)
    ->Args({700, 1 << 14})
    ->ArgsProduct({{0, 700}, {1 << 24}})
    ->UseRealTime();

}  // namespace
}  // namespace assay
