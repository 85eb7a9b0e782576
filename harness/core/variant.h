// Variant is one way of computing an op on one backend. It lives in one file under kernels/ and
// registers itself with ASSAY_VARIANT; no list names it.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "harness/core/op.h"
#include "harness/core/problem.h"
#include "harness/core/tensor.h"

namespace assay {

enum class Backend : std::uint8_t { cpu, simt, cuda };

std::string_view name(Backend backend);
std::optional<Backend> parse_backend(std::string_view text);

// An ordered queue of work on a device: a cudaStream_t on cuda, null where a launch runs at once.
struct Stream {
  void* handle = nullptr;
};

// Enqueues the work and returns: no allocation, no synchronisation, no set-up.
using Launch = std::function<void(Stream)>;

enum class Repeatability : std::uint8_t {
  order_dependent,  // e.g. atomics in floating point
  bitwise,          // the same bits from the same inputs, every run
  batch_invariant   // moreover, the bits of a slice of the op's batch dim do not depend on how many
                    // others there are, nor on its place among them
};

std::string_view name(Repeatability repeatability);

struct ArchRange {  // CUDA compute capability times ten, both ends included; 0 = no limit
  int min = 0;
  int max = 0;
};

struct Workspace {
  std::int64_t bytes = 0;  // aligned to 256
};

// One step of a composite (composite.h): a problem of another op, the name of the variant that
// solves it, of the same backend, and which part of which buffer each of its tensors is. A buffer
// is a tensor of the composite or an intermediate.
struct Binding {
  std::string tensor, buffer;
  std::int64_t first = 0;  // element of the buffer
};
struct Step {
  Problem problem;
  std::string variant;
  std::vector<Binding> tensors;
};
struct Intermediate {
  std::string name;
  DType dtype = DType::f32;
  std::int64_t elements = 0;
};
struct StepList {
  std::vector<Intermediate> intermediates;
  std::vector<Step> steps;  // run in this order
};

struct Variant {
  std::string op;
  std::string name;     // the idea: naive, fused, tensor_core, split_kv
  std::string summary;  // one line
  Backend backend = Backend::cpu;
  ArchRange arch{};
  Repeatability repeatability = Repeatability::bitwise;
  bool strided = false;  // runs where rows lie apart, too (TensorSpec::strides)

  // A composite: what it consists of. All that follows is then made from it. Its steps must repeat
  // their bits.
  std::function<StepList(const Problem&)> steps{};

  // The arithmetic used for this problem. Required.
  std::function<Numerics(const Problem&)> numerics{};
  // The ways to cut this problem that `assay tune` tries beside the variant's own choice: all that
  // is asked for, as problem.configuration, in the functions here. Optional.
  std::function<std::vector<Configuration>(const Problem&)> configurations{};
  // Why this problem can't be run, or an empty text. Optional.
  std::function<std::string(const Problem&)> unsupported{};
  // Scratch memory; the harness allocates and poisons it. Optional.
  std::function<Workspace(const Problem&)> workspace{};
  // Untimed and before the inputs have values: picks the instantiation, returns the closure that
  // enqueues. Required.
  std::function<Launch(const Problem&, const Buffers&)> prepare{};

  std::string id() const;         // "attnres_fwd/fused@cuda"
  std::string bare_name() const;  // "fused@cuda"
};

struct RegisterVariant {
  RegisterVariant(
      Variant variant);  // NOLINT(google-explicit-constructor): the macro below relies on it
};

}  // namespace assay

// ASSAY_VARIANT(fused) { .op = "attnres_fwd", .name = "fused", ... };
#define ASSAY_VARIANT(identifier) \
  static const ::assay::RegisterVariant assay_variant_##identifier = ::assay::Variant
