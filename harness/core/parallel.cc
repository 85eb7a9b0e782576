#include "harness/core/parallel.h"

#include <fstream>
#include <limits>
#include <string>

#if defined(_OPENMP)
#include <omp.h>
#endif

namespace assay {
namespace {

#if defined(_OPENMP)
// CPUs' worth of time that the control group grants, rounded up: a container may be given 2 of the
// 64 cores that it sees, and 64 threads would then mostly be suspended.
int granted_cpus() {
  constexpr int kNoLimit = std::numeric_limits<int>::max();
  double quota = 0, period = 0;  // microseconds; "max" or -1 where there is no limit
  std::ifstream unified("/sys/fs/cgroup/cpu.max");
  if (!(unified >> quota >> period)) {
    std::ifstream v1_quota("/sys/fs/cgroup/cpu/cpu.cfs_quota_us");
    std::ifstream v1_period("/sys/fs/cgroup/cpu/cpu.cfs_period_us");
    if (!(v1_quota >> quota) || !(v1_period >> period)) return kNoLimit;
  }
  if (!(quota > 0) || !(period > 0) || quota > period * 1e6) return kNoLimit;
  return static_cast<int>((quota + period - 1) / period);
}
#endif

}  // namespace

int num_threads() {
#if defined(_OPENMP)
  static const int threads = std::max(1, std::min(omp_get_max_threads(), granted_cpus()));
  return threads;
#else
  return 1;
#endif
}

}  // namespace assay
