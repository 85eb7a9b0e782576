// The device memory of one case: one or several sets of all its tensors and its workspace, each
// with its own prepared launch. Several sets are rotated while timing, so that no sample finds its
// inputs in the cache.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "harness/backend/backend.h"
#include "harness/core/named_memory.h"
#include "harness/core/variant.h"

namespace assay {

class BufferSet {
 public:
  // Allocates and calls variant.prepare, before any input has a value.
  BufferSet(Device& device, const Variant& variant, const Problem& problem);

  static std::int64_t bytes_needed(const Variant& variant, const Problem& problem);

  const Buffers& buffers() const { return buffers_; }
  const Launch& launch() const { return launch_; }

  void upload(const Tensors& inputs);  // from host memory
  void copy_inputs_from(const BufferSet& other);
  void poison(unsigned char byte);   // outputs and workspace
  std::string broken_guard() const;  // what was written outside of all buffers; empty: nothing
  void download(const TensorView& host) const;  // the tensor of that name

 private:
  Device* device_;
  DeviceMemory memory_;
  Buffers buffers_;
  std::int64_t workspace_bytes_ = 0;
  struct Guard {  // of a buffer
    std::string name;
    unsigned char* begin;
    std::int64_t bytes, after;
  };
  std::vector<Guard> guards_;
  std::vector<NamedMemory> names_;
  Launch launch_;
};

}  // namespace assay
