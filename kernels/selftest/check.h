// How the kernels of this folder register themselves as TwinChecks. A kernel reads `in` and writes
// every word of `out`; what it must write is computed by the host from the definition of the
// instruction (PTX ISA), never with the wrapper itself.
#pragma once

#include <bit>
#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include "harness/core/twin_check.h"
#include "kernels/device/launch.h"
#include "kernels/device/sm90.h"

namespace assay::ASSAY_TWIN::selftest {

using Word = std::uint32_t;
using Kernel = void (*)(const Word* in, Word* out);

inline constexpr ArchRange kSm90 = {90, 0};

struct Check {
  const char* name;
  std::vector<std::string> covers;
  ArchRange arch{};
  Kernel kernel;
  std::int64_t blocks = 1;
  int threads = kWarpSize;
  std::int64_t shared_bytes = 0;  // dynamic
  int cluster = 1;
  std::size_t inputs = 1, outputs;
  std::optional<Word> initial{};
  double bound = 0;
  const char* unit = "";
  void (*prepare)(Words& in) = nullptr;
  void (*expect)(const Words& in, Expectation& want);
};

struct Register {
  Register(const Check& check) {  // NOLINT(google-explicit-constructor): ASSAY_CHECK relies on it
    TwinCheck twin;
    twin.name = check.name;
    twin.covers = check.covers;
    twin.backend = kTwinBackend;
    twin.arch = check.arch;
    twin.inputs = check.inputs;
    twin.outputs = check.outputs;
    twin.initial = check.initial;
    twin.bound = check.bound;
    twin.unit = check.unit;
    if (check.prepare != nullptr) twin.prepare = check.prepare;
    twin.expect = check.expect;
    twin.launch = [kernel = check.kernel, blocks = check.blocks, threads = check.threads,
                   shared_bytes = check.shared_bytes,
                   cluster = check.cluster](const Word* in, Word* out, Stream stream) {
      if (shared_bytes > 48 << 10) allow_shared(kernel, shared_bytes);
      launch(kernel,
             {.blocks = blocks,
              .threads = threads,
              .shared_bytes = shared_bytes,
              .cluster = cluster,
              .stream = stream},
             in, out);
    };
    const RegisterTwinCheck registered(std::move(twin));
  }
};

// --- for expectations

inline float number(Word word) { return std::bit_cast<float>(word); }
inline Word bits_of(float x) { return std::bit_cast<Word>(x); }

// Small integers other than zero, as floats: sums and products of a few are exact in any order.
inline float small_integer(Word random, int most) {
  const int magnitude = 1 + static_cast<int>(random >> 8) % most;
  return static_cast<float>((random & 1u) != 0 ? -magnitude : magnitude);
}

// The distance between floats next to `value`.
inline double ulp(double value) {
  int exponent = 0;
  std::frexp(value, &exponent);
  return std::ldexp(1.0, std::max(exponent, -125) - 24);
}

}  // namespace assay::ASSAY_TWIN::selftest

// ASSAY_CHECK(kernel) { .name = ..., .kernel = kernel, ... };
#define ASSAY_CHECK(identifier) \
  static const Register assay_check_##identifier = ::assay::ASSAY_TWIN::selftest::Check
