// TwinCheck is a small kernel over the wrappers of kernels/device that knows, from the definition
// of each instruction, what every word of its output must be. Each twin of the kernel registers
// one; `assay selftest twins` runs them and compares the twins.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "harness/core/variant.h"

namespace assay {

using Words = std::vector<std::uint32_t>;

// What each word of an output must be.
class Expectation {
 public:
  explicit Expectation(std::size_t words) : words_(words) {}

  // These bits.
  void bits(std::size_t i, std::uint32_t word);
  // A float: NaN (any) where `value` is NaN, otherwise at most bound * scale from `value`, the
  // bound being that of the check. Without a scale: equal to `value`, as numbers.
  void number(std::size_t i, double value, double scale = 0);

  struct Word {
    enum class Kind : std::uint8_t { unset, bits, number } kind = Kind::unset;
    std::uint32_t bits = 0;
    double value = 0, scale = 0;
  };
  const std::vector<Word>& words() const { return words_; }

 private:
  std::vector<Word> words_;
};

struct TwinCheck {
  std::string name;                 // "warp/shuffle_up"
  std::vector<std::string> covers;  // wrappers
  Backend backend = Backend::simt;
  ArchRange arch{};
  std::size_t inputs = 0, outputs = 0;   // words
  std::optional<std::uint32_t> initial;  // what every output word begins as; none: poison
  double bound = 0;                      // of numbers with a scale
  std::string unit;                      // what the scale is, for people: "ulp", "relative"
  // Changes the inputs, which are random words other than zero. Optional.
  std::function<void(Words&)> prepare{};
  std::function<void(const Words& in, Expectation& want)> expect;
  std::function<void(const std::uint32_t* in, std::uint32_t* out, Stream)> launch;
};

// A launch that a device refuses: both backends must give the same reason.
struct TwinRefusal {
  std::string name;  // "refused/no_threads"
  Backend backend = Backend::simt;
  std::string unsupported;              // why this backend can't know; empty: it can
  bool same_words = true;               // false: the refusal alone must be the same
  std::function<void(Stream)> attempt;  // throws
};

struct RegisterTwinCheck {
  explicit RegisterTwinCheck(TwinCheck check);
};
struct RegisterTwinRefusal {
  explicit RegisterTwinRefusal(TwinRefusal refusal);
};

// By name; of all backends.
std::vector<const TwinCheck*> twin_checks();
std::vector<const TwinRefusal*> twin_refusals();

// Random words other than zero, the same for both twins, as the check prepares them.
Words twin_inputs(const TwinCheck& check);

}  // namespace assay
