// The device memory of one case: one or several sets of all its tensors and its workspace, each
// with its own prepared launch. Several sets are rotated while timing, so that no sample finds its
// inputs in the cache.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "harness/backend/backend.h"
#include "harness/core/fingerprint.h"
#include "harness/core/named_memory.h"
#include "harness/core/variant.h"
#include "harness/engine/inputs.h"

namespace assay {

// Where the tensors of a set lie. With a fence each has an allocation of its own, and no guards.
struct Placement {
  Layout layout = Layout::packed;
  Fence fence = Fence::none;
  // Memory for BufferSet::bytes_allocated() that holds NaNs already; null: the set has its own. Not
  // with a fence.
  void* within = nullptr;
};

class BufferSet {
 public:
  // Allocates, fills everything with NaNs and calls variant.prepare: what it computes from inputs
  // comes to nothing.
  BufferSet(Device& device, const Variant& variant, const Problem& problem,
            Placement placement = {});

  static std::int64_t bytes_needed(const Variant& variant, const Problem& problem);
  // Without what is kept aside, but with room to align everything.
  static std::int64_t bytes_allocated(const Variant& variant, const Problem& problem,
                                      Layout layout = Layout::packed);
  static constexpr unsigned char kFilling = 0xff;  // a NaN in every float format

  const Buffers& buffers() const { return buffers_; }
  const Launch& launch() const { return launch_; }

  // All that may be read (in and inout), from host memory. What is updated in place is kept aside.
  // A tensor that the device's fingerprint shows to be in place is not sent again.
  void upload(const Inputs& inputs);
  // Begins to bring what upload() of the same will send the first time, where the device can do so
  // beside other work of the host; see Device::upload_ahead. Null: nothing is on its way.
  std::shared_ptr<void> upload_ahead(const Inputs& inputs);
  // The first input whose bytes are no longer those of `inputs`, with the place; empty: none.
  std::string changed_input(const Inputs& inputs) const;
  // Both are work in the stream, and may return before it is done.
  void copy_inputs_from(const BufferSet& other);
  // Outputs, workspace and all that lies around the tensors; what is updated in place becomes what
  // it was.
  void poison(unsigned char byte);
  // Enqueues that last; null: nothing is updated in place.
  const Launch* restore() const { return updated_.empty() ? nullptr : &restore_; }
  std::string broken_guard() const;  // what was written outside of all buffers; empty: nothing
  void download(const TensorView& host) const;  // the tensor of that name
  // The same into packed memory of the device.
  void copy(const TensorSpec& spec, void* to) const;
  // Of its elements, row by row, as download() would bring them.
  Fingerprint fingerprint(const TensorSpec& spec) const;
  // The same while the stream is held, of its first bytes.
  void peek(const TensorView& host, std::int64_t bytes) const;

 private:
  Device* device_;
  Buffers buffers_;
  std::int64_t workspace_bytes_ = 0;
  std::vector<std::unique_ptr<DeviceMemory>> memory_;
  struct Guard {                // bytes that belong to no tensor, between two
    std::string after, before;  // names; empty at either end
    unsigned char* begin;
    std::int64_t bytes;
  };
  std::vector<Guard> guards_;
  unsigned char guard_byte_ = 0;
  // A tensor whose rows lie apart: what was uploaded, row by row, to be laid out again with each
  // poison.
  struct Spread {
    TensorView tensor;  // device
    std::vector<std::byte> rows;
  };
  std::vector<Spread> spread_;
  std::map<std::string, Fingerprint> uploaded_;  // by tensor: what was sent last
  void lay_out(const Spread& spread);
  std::string broken_gap(const TensorView& tensor) const;
  struct Updated {  // a tensor that is updated in place, and what was uploaded
    std::string name;
    void* data;
    void* original;
    std::int64_t bytes;
  };
  std::vector<Updated> updated_;
  Launch restore_;
  std::vector<NamedMemory> names_;
  Launch launch_;
};

}  // namespace assay
