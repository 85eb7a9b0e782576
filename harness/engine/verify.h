// Verification: every element of every output of a prepared variant against the oracle's interval,
// on every input family.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "harness/backend/backend.h"
#include "harness/core/record.h"
#include "harness/engine/buffers.h"
#include "harness/engine/oracle.h"

namespace assay {

class Verifier {
 public:
  Verifier(const Problem& problem, const Variant& variant, Device& device, Oracle& oracle);

  // Runs the variant twice on the inputs of (family, seed), over outputs and workspace filled first
  // with NaN and then with large finite values. The first run is judged element by element; the
  // second must repeat its bits, or, where the variant declares itself order-dependent, is judged
  // as well.
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
  void compare_runs(const std::string& family, std::uint64_t seed);
  std::string place(const TensorSpec& spec, std::int64_t index) const;

  const Op& op_;
  const Problem& problem_;
  const Variant& variant_;
  Device& device_;
  Oracle& oracle_;
  std::vector<Output> outputs_;
  std::vector<Check> checks_;
};

}  // namespace assay
