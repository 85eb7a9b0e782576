// Times a verified variant with a cold cache, by rotating over buffer sets.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "harness/backend/backend.h"
#include "harness/core/record.h"
#include "harness/engine/buffers.h"

namespace assay {

// When there are enough samples: both minima are reached, or the time for the case is up and there
// are at least 10.
struct SamplingRule {
  int min_samples = 10;
  double min_seconds = 0.05;  // of timed work
  double max_seconds = 10;    // wall time, set-up excluded
  int max_samples = 10'000;
};

// Calls time(n), which returns n further samples in seconds, until the rule is satisfied.
std::vector<double> take_samples(const SamplingRule& rule,
                                 const std::function<std::vector<double>(int)>& time);

// How many sets of `set_bytes` it takes until a set has left a cache of `cache_bytes` before its
// turn comes again: three caches full, and never less than two; fewer where `memory_bytes` do not
// hold them.
std::int64_t rotation_sets(std::int64_t set_bytes, std::int64_t cache_bytes,
                           std::int64_t memory_bytes);

struct Timing {
  Measurement measurement;
  BufferSet* last = nullptr;  // whose outputs the last sample wrote
  std::vector<std::unique_ptr<BufferSet>> further_sets;
};

// `first` holds the inputs; further sets, in at most `memory_bytes` with it, are made and filled
// from it. All outputs are poisoned before the first sample.
Timing measure_cold(const Problem& problem, const Variant& variant, Device& device,
                    BufferSet& first, std::int64_t memory_bytes, const SamplingRule& rule);

}  // namespace assay
