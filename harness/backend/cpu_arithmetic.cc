#include "harness/backend/cpu_arithmetic.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <vector>

#include "harness/core/parallel.h"
#include "harness/core/simd.h"

namespace assay::cpu {
namespace {

// Chains that depend on nothing else: four cycles of latency, two units.
constexpr int kChains = 12;
constexpr std::int64_t kSteps = 1 << 19;

struct Chains {
  template <Isa isa>
  static ASSAY_INLINE void run(std::int64_t rounds, float* sink) {
    using Vector = simd_vector<float, simd_width(isa)>;
    Vector sums[kChains];
    for (int i = 0; i < kChains; ++i) sums[i] = Vector{} + 0.1f * static_cast<float>(i);
    const Vector factor = Vector{} + (0.5f + 1e-9f * *sink), added = Vector{} + 0.75f;
    for (std::int64_t round = 0; round < rounds; ++round)
      for (int i = 0; i < kChains; ++i) sums[i] = sums[i] * factor + added;
    Vector total = {};
    for (const Vector& sum : sums) total += sum;
    *sink = total[0];
  }
};

}  // namespace

double measure_fma() {
  constexpr int kRounds = 9;
  const std::int64_t parts = std::int64_t{8} * num_threads();
  std::vector<double> seconds;
  for (int round = 0; round < kRounds; ++round) {
    const auto start = std::chrono::steady_clock::now();
    parallel_for(parts, 1, [](std::int64_t begin, std::int64_t end) {
      float sink = static_cast<float>(begin);
      run_simd<Chains>((end - begin) * kSteps, &sink);
      volatile float keep = sink;
      static_cast<void>(keep);
    });
    seconds.push_back(
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  std::nth_element(seconds.begin(), seconds.begin() + kRounds / 2, seconds.end());
  const double operations =
      2.0 * kChains * simd_width(best_isa()) * static_cast<double>(parts * kSteps);
  return operations / seconds[kRounds / 2];
}

}  // namespace assay::cpu
