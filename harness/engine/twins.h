// Runs TwinChecks and TwinRefusals on a device, judges every word, and compares two twins.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "harness/backend/backend.h"
#include "harness/core/twin_check.h"

namespace assay {

struct TwinResult {
  enum class Status : std::uint8_t { passed, failed, unsupported } status = Status::passed;
  std::string text;  // why it failed or is unsupported; of a refusal, the device's words
  double error = 0;  // the largest of all numbers with a scale, in the check's unit
  Words words;       // of the first run; empty: there was none
};
std::string_view name(TwinResult::Status status);

// Under each schedule of the device in turn; several times where it has no choice.
TwinResult run_twin_check(const TwinCheck& check, Device& device);
TwinResult run_twin_refusal(const TwinRefusal& refusal, Device& device);

// How far the outputs of two runs of a check are from each other.
struct TwinDifference {
  std::size_t words = 0;   // that differ; NaN and NaN do not
  std::uint64_t ulps = 0;  // the most, of numbers; infinities are next to the largest numbers
  double error = 0;        // the largest, in the check's unit
};
TwinDifference compare_twins(const TwinCheck& check, const Words& a, const Words& b);

}  // namespace assay
