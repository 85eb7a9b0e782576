// Data parallelism on the host: one static partition, so that which thread computes what never
// depends on timing.
#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "harness/core/signal_stack.h"

namespace assay {

// Threads that parallel_for uses, the same for the whole run: CPUs in the affinity mask, or fewer
// where a control group grants less time. OMP_NUM_THREADS lowers it.
int num_threads();

// Calls body(begin, end) or body(begin, end, part) on contiguous parts of [0, n), one a thread,
// 0 <= part < num_threads(). Parts are multiples of `grain` except the last. `body` must not throw.
template <class Body>
void parallel_for(std::int64_t n, std::int64_t grain, const Body& body) {
  const auto call = [&body](std::int64_t begin, std::int64_t end, std::int64_t part) {
    if constexpr (std::is_invocable_v<Body, std::int64_t, std::int64_t, int>) {
      body(begin, end, static_cast<int>(part));
    } else {
      static_cast<void>(part);
      body(begin, end);
    }
  };
  const std::int64_t blocks = (n + grain - 1) / grain;
  const std::int64_t parts = std::min(blocks, static_cast<std::int64_t>(num_threads()));
  if (parts <= 1) {
    if (n > 0) call(0, n, 0);
    return;
  }
  const int threads = static_cast<int>(parts);
#pragma omp parallel for schedule(static, 1) num_threads(threads)
  for (std::int64_t part = 0; part < parts; ++part) {
    if (signal_stacks_wanted.load(std::memory_order_relaxed)) use_signal_stack();
    call(blocks * part / parts * grain, std::min(n, blocks * (part + 1) / parts * grain), part);
  }
}

}  // namespace assay
