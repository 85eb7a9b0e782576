// Oracle answers what the right outputs are. Inputs and references of a problem are kept while they
// fit, since ten variants of it should cost one reference.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "harness/backend/backend.h"
#include "harness/core/op.h"
#include "harness/engine/inputs.h"

namespace assay {

// What `write` writes there; null: the device has no room for it.
std::unique_ptr<DeviceReference> write_there(Device& device,
                                             const std::function<void(DeviceReference&)>& write);

class Oracle {
 public:
  // Host memory that cases may use in all; half of it may be held for later cases.
  explicit Oracle(std::int64_t available_bytes) : available_(available_bytes) {}

  // The next cases are of this problem. A sweep takes one after the other: what is held for others
  // is given up, and its memory is warm for this one.
  void turn_to(const Problem& problem);

  std::int64_t available_bytes() const { return available_; }
  std::int64_t held_bytes() const { return held_; }

  // Callers keep the shared pointers.
  std::shared_ptr<const Inputs> inputs(const Problem& problem, const std::string& family,
                                       std::uint64_t seed);
  std::shared_ptr<const std::vector<Expected>> expected(const Problem& problem,
                                                        const std::string& family,
                                                        std::uint64_t seed,
                                                        const Numerics& numerics);

  // The same in the memory of a device that judges; null where there is no room for it. Must be
  // gone, by turn_to() or forget(), before the device is.
  std::shared_ptr<DeviceReference> expected_there(Device& device, const Problem& problem,
                                                  const std::string& family, std::uint64_t seed,
                                                  const Numerics& numerics);
  // How much of a device's memory may be taken so.
  static std::int64_t most_there(const DeviceInfo& device) { return device.memory_bytes / 4; }
  static std::int64_t bytes_there(const Op& op, const Problem& problem);  // of one family
  void forget(const Device& device);                                      // all that is there
  // Those that are no longer as they were written; whether there were any. When a case ends, and,
  // unless the last one has ended so, before the next one runs.
  bool forget_broken(const Device& device);
  void begin_case(const Device& device);

  std::shared_ptr<const std::vector<Sensitivity>> sensitivities(const Problem& problem,
                                                                const std::string& family,
                                                                std::uint64_t seed,
                                                                const Numerics& numerics);

  // Host bytes that verifying one family of a problem takes: inputs, reference, bound and two
  // copies of the outputs.
  static std::int64_t bytes_needed(const Op& op, const Problem& problem);

 private:
  struct Entry {
    std::string key;
    std::int64_t bytes = 0;
    std::shared_ptr<const Inputs> inputs;
    std::shared_ptr<const std::vector<Expected>> expected;
    std::shared_ptr<const std::vector<Sensitivity>> sensitivities;
  };
  Entry* lookup(const std::string& key);
  void insert(Entry entry);
  std::shared_ptr<const std::vector<Expected>> keep(const std::string& key,
                                                    std::vector<Expected> made);
  // In the memory of devices; most recently used first.
  struct There {
    std::string key;
    const Device* device;
    std::shared_ptr<DeviceReference> reference;
  };
  std::list<There>::iterator find_there(const std::string& key, const Device* device);

  std::int64_t available_;
  std::int64_t held_ = 0;
  std::string problem_;       // whose the entries are
  std::list<Entry> entries_;  // most recently used first
  std::list<There> there_;
  const Device* intact_on_ = nullptr;  // where nothing has run since forget_broken()
};

}  // namespace assay
