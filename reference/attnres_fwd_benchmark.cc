// Speed of the fp64 reference with bounds and of filling inputs. Bytes are those of V as if it were
// fp32 (4 an element), per second of wall time; with OMP_NUM_THREADS=1 that is per core.
#include <benchmark/benchmark.h>

#include "reference/attnres_fwd_testing.h"
#include "reference/families.h"

namespace assay {
namespace {

using attnres_testing::Data;

void count(benchmark::State& state, const Problem& p) {
  const std::int64_t elements = p.dim("N") * p.dim("T") * p.dim("D");
  state.SetBytesProcessed(state.iterations() * elements * 4);
  state.SetLabel(str(p));
}

Problem problem_of(const benchmark::State& state) {
  const auto dtype = static_cast<DType>(state.range(0));
  return attnres_testing::make_problem(
      {state.range(1), state.range(2), state.range(3), state.range(4)}, dtype, dtype, false);
}

void attnres_fwd_reference(benchmark::State& state) {
  Data data(problem_of(state));
  data.fill(kGaussian);
  for (auto _ : state) benchmark::DoNotOptimize(data.reference());
  count(state, data.problem);
}

void attnres_fwd_fill(benchmark::State& state) {
  Data data(problem_of(state));
  for (auto _ : state) data.fill(kSpread);
  count(state, data.problem);
}

// Of a family by its place in the contract.
void attnres_fwd_family(benchmark::State& state) {
  Data data(attnres_testing::make_problem({9, 1, 256, 7168}, DType::bf16, DType::bf16, false));
  const Family& family = Data::op().families[static_cast<std::size_t>(state.range(0))];
  for (auto _ : state) family.fill(data.problem, 1, data.inputs);
  count(state, data.problem);
  state.SetLabel(family.name);
}

constexpr int kF32 = static_cast<int>(DType::f32), kF16 = static_cast<int>(DType::f16),
              kBf16 = static_cast<int>(DType::bf16);

// dtype, N, Q, T, D
BENCHMARK(attnres_fwd_reference)
    ->Args({kF32, 9, 1, 256, 7168})
    ->Args({kF16, 9, 1, 256, 7168})
    ->Args({kBf16, 9, 1, 256, 7168})
    ->Args({kBf16, 9, 1, 512, 2304})
    ->Args({kBf16, 10, 6, 512, 2304})
    ->Args({kBf16, 8, 8, 512, 2048})
    ->Args({kBf16, 64, 1, 64, 8192})
    ->UseRealTime();
BENCHMARK(attnres_fwd_fill)
    ->Args({kF32, 9, 1, 256, 7168})
    ->Args({kF16, 9, 1, 256, 7168})
    ->Args({kBf16, 9, 1, 256, 7168})
    ->UseRealTime();

BENCHMARK(attnres_fwd_family)->DenseRange(0, 14)->UseRealTime();

}  // namespace
}  // namespace assay
