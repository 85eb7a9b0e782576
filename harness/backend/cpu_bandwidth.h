// The limit of the cpu's memory system: what plain streaming kernels reach.
#pragma once

namespace assay::cpu {

// A number of arrays read and a number of arrays written at once.
struct Mix {
  int reads = 1;
  int writes = 0;
  bool operator==(const Mix&) const = default;
};

// The mix of at most 16 arrays whose ratio is nearest to bytes_read : bytes_written.
Mix nearest_mix(double bytes_read, double bytes_written);

// Bytes per second, read and written ones together, that the best of several streaming kernels
// reaches with all threads on arrays that together are at least four times the last-level cache.
// Stored bytes count once: that an ordinary store also reads its line is the kernel's loss. Takes
// about a second.
double measure_bandwidth(Mix mix);

}  // namespace assay::cpu
