// run_case takes one case the whole way: verify, time, verify what was timed. Nothing is timed that
// did not pass.
//
// Small problems are verified on every input family of their op, and in every way that there is;
// the others on the first family, on one more that the seed chooses, and in the ways that need no
// further memory of their size.
#pragma once

#include <cstdint>
#include <string>

#include "harness/backend/backend.h"
#include "harness/core/problem.h"
#include "harness/core/record.h"
#include "harness/core/variant.h"
#include "harness/engine/measure.h"
#include "harness/engine/oracle.h"
#include "harness/engine/verify.h"

namespace assay {

struct Case {
  Problem problem;
  const Variant* variant = nullptr;
  Device* device = nullptr;
};

struct RunOptions {
  std::uint64_t seed = 1;
  int seeds = 1;  // verified, from `seed` on; the first is the one that is timed
  bool verify_only = false;
  SamplingRule sampling;
  VerifyOptions verify;
  bool fences = false;  // run beside address space that faults: only where that may end the process
  std::string environment;  // id, for the records
};

// Never throws for what a variant or a device does: that becomes the record's status and reason.
Record run_case(const Case& job, Oracle& oracle, const RunOptions& options);

// The command that runs this case again, alone.
std::string repro_line(const Case& job, const RunOptions& options);

}  // namespace assay
