// What a device can do at best, and what its clock reads beside a kernel: measured once for a
// device and its driver, and kept in a file for later runs.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

#include "harness/backend/backend.h"
#include "harness/core/op.h"
#include "harness/engine/sampler.h"

namespace assay {

// Where the files are: $XDG_CACHE_HOME/assay, else ~/.cache/assay; empty where neither is known.
std::filesystem::path cache_folder();

class Limits {
 public:
  // Reads what is known from the file of this device in `folder` (empty: keeps no file). `again`:
  // measures anew.
  explicit Limits(Device& device, const std::filesystem::path& folder = cache_folder(),
                  bool again = false);

  // What a device is likely to be asked for, so that a run begins with what it can do.
  void measure_usual();

  // Bytes per second at the mix nearest to this ratio.
  double bandwidth(double bytes_read, double bytes_written);

  // Operations per second with operands at hand; 0: the device has no such units.
  double arithmetic(Arithmetic arithmetic);

  // Seconds that the clock reads more than a kernel takes: of one that does nothing, less what the
  // second clock says of it, where there is one.
  double offset();

  UsualClock clock;

 private:
  double measure(const std::string& key, const std::function<double()>& measure);
  void write() const;

  Device& device_;
  std::filesystem::path file_;
  std::string heading_;
  std::map<std::string, double> known_;
};

// Least seconds for a cost whose bytes all pass the memory, or, where `cold`, all but as many
// written ones as may still be in the cache when the kernel ends.
double floor_seconds(const Cost& cost, bool cold, std::int64_t cache_bytes, Limits& limits);

// Why a time can't be: it is shorter than the memory's pins allow. Empty: it can.
std::string faster_than_pins(const Cost& cost, double seconds, const DeviceInfo& device);

}  // namespace assay
