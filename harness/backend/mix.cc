// How many arrays to read and to write, for a ratio of bytes.
#include <cmath>

#include "harness/backend/backend.h"

namespace assay {

Mix nearest_mix(double bytes_read, double bytes_written) {
  constexpr int kMostArrays = 16;
  const double share =
      bytes_read + bytes_written > 0 ? bytes_read / (bytes_read + bytes_written) : 1;
  Mix best;
  double best_distance = 2;
  for (int total = 1; total <= kMostArrays; ++total) {
    const int reads = static_cast<int>(std::lround(share * total));
    const double distance = std::abs(static_cast<double>(reads) / total - share);
    if (distance < best_distance - 1e-9) {
      best = {reads, total - reads};
      best_distance = distance;
    }
  }
  return best;
}

}  // namespace assay
