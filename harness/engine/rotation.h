// The buffer sets of one case by turns, so that no launch finds its inputs in the cache; or one of
// them, again and again.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "harness/backend/backend.h"
#include "harness/engine/buffers.h"

namespace assay {

// How many sets of `set_bytes` it takes until a set has left a cache of `cache_bytes` before its
// turn comes again: three caches full, and never less than two; fewer where `memory_bytes` do not
// hold them.
std::int64_t rotation_sets(std::int64_t set_bytes, std::int64_t cache_bytes,
                           std::int64_t memory_bytes);

class Rotation {
 public:
  // `first` holds the inputs; further sets, in at most `memory_bytes` with it, are made and filled
  // from it. All are run once, then all outputs are poisoned.
  Rotation(const Problem& problem, const Variant& variant, Device& device, BufferSet& first,
           std::int64_t memory_bytes);

  ~Rotation();
  Rotation(const Rotation&) = delete;
  Rotation& operator=(const Rotation&) = delete;

  std::int64_t sets() const { return static_cast<std::int64_t>(sets_.size()); }
  // Whose outputs the last timed launch wrote; null before the first.
  BufferSet* last() const { return last_; }

  // The next `n` launches, of cold buffers by turns.
  std::vector<TimedLaunch> next(int n);
  std::vector<Sample> time_cold(int n);
  std::vector<Sample> time_hot(int n);
  // Whether a whole rotation can be one graph: not where tensors are updated in place, since they
  // would have to be restored within it. `why_not` says what else is in the way.
  bool record_graph(std::string& why_not);
  // Of graphs: each sample is the time of one graph, divided by its launches.
  std::vector<Sample> time_graph(int n);

 private:
  Device* device_;
  DeviceMemory slab_;  // of the further sets, where they are small
  std::vector<std::unique_ptr<BufferSet>> further_;
  std::vector<BufferSet*> sets_;
  std::size_t next_ = 0;
  BufferSet* last_ = nullptr;
  Launch graph_;
};

}  // namespace assay
