// Verification: every element of every output of a prepared variant against the oracle's interval,
// on every input family.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "harness/backend/backend.h"
#include "harness/core/record.h"
#include "harness/engine/buffers.h"
#include "harness/engine/oracle.h"

namespace assay {

// What the cuda and simt builds of one source have written for the same inputs, kept while a sweep
// stays with one problem, so that the second to run can be compared with the first.
struct TwinOutputs {
  std::string problem;
  std::map<std::string, std::vector<std::byte>> outputs;  // by variant, family, seed and output
};

class Verifier {
 public:
  // `execution`: its schedule may be empty, for all that the device has, in turn.
  Verifier(const Problem& problem, const Variant& variant, Device& device, Oracle& oracle,
           Execution execution = {}, TwinOutputs* twins = nullptr);

  // Runs the variant at least twice on the inputs of (family, seed), over outputs and workspace
  // filled by turns with NaN and with large finite values. The schedules are dealt out among the
  // families, by turns with the seed: a case takes each once, two seeds take all that a family has.
  // The first run is judged element by element; the others must repeat its bits, or, where the
  // variant declares itself order-dependent, are judged as well. A KernelFault is a failed check of
  // that kind, and ends the family.
  void verify(BufferSet& set, const std::string& family, std::uint64_t seed);

  // Judges what the outputs of a set hold now, after timing on the inputs of (family, seed).
  void verify_timed(const BufferSet& set, const std::string& family, std::uint64_t seed);

  // Adds a check `power` with status mistrusted for each output that zeros would have passed for,
  // over all that was judged; see zeros_would_pass.
  void judge_power();

  std::vector<Check>& checks() { return checks_; }
  bool passed() const;

  // The two fillings: NaN in every float format, and a large finite value in every one (1.3e36,
  // f16: 6.1e4).
  static constexpr unsigned char kPoisons[] = {0xff, 0x7b};

 private:
  struct Output {  // host copies
    TensorView now, before;
    std::unique_ptr<std::byte[]> storage[2];
    std::int64_t nonzero = 0, zero_accepted = 0;
  };
  void judge_outputs(const std::string& kind, const std::string& family, std::uint64_t seed);
  void compare_twins(const std::string& family, std::uint64_t seed);
  void compare_runs(const std::string& family, std::uint64_t seed);
  bool run(BufferSet& set, unsigned char poison, const std::string& schedule,
           const std::string& family, std::uint64_t seed);
  std::string place(const TensorSpec& spec, std::int64_t index) const;

  const Op& op_;
  const Problem& problem_;
  const Variant& variant_;
  Device& device_;
  Oracle& oracle_;
  Execution execution_;
  TwinOutputs* twins_;
  std::vector<std::string> schedules_;  // one empty name where the device has no choice
  std::size_t runs_ = 0;                // of a family
  std::size_t dealt_ = 0;               // schedules so far
  std::vector<Output> outputs_;
  std::vector<Check> checks_;
};

}  // namespace assay
