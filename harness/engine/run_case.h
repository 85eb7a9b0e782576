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

// What is to be run, said without opening anything.
struct Job {
  Problem problem;
  const Variant* variant = nullptr;
  const DeviceInfo* device = nullptr;
  bool is_liar = false;  // the variant is one of liars()
  // The name that it was asked for by, and is recorded under (choice_table.h); empty: the
  // variant's.
  std::string alias{};
  std::string note{};  // for the record
};

std::string shown_name(const Job& job);  // "fused[rows=3]@cuda", "auto@cuda"

struct Case {  // a Job whose device is open
  Problem problem;
  const Variant* variant = nullptr;
  Device* device = nullptr;
  Limits* limits = nullptr;  // of the device; null: looked up for this case
  std::string alias{}, note{};
};

struct RunOptions {
  std::uint64_t seed = 1;
  int seeds = 1;  // verified, from `seed` on; the first is the one that is timed
  bool verify_only = false;
  MeasureOptions measure;
  VerifyOptions verify;
  // Elements of all tensors up to which a problem is small; 0: what suits the backend.
  std::int64_t small = 0;
  bool fences = false;  // run beside address space that faults: only where that may end the process
  std::string environment;    // id, for the records
  bool limits_again = false;  // measure what the device can do, whatever is known
};

// Never throws for what a variant or a device does: that becomes the record's status and reason.
Record run_case(const Case& job, Oracle& oracle, const RunOptions& options);

// What the record of a case says before it has run: what, where and how to run it again, with the
// status error.
Record begin_record(const Job& job, const RunOptions& options);
// Adds what the variant declares for this problem. Throws what the variant throws.
void add_declarations(Record& record, const Job& job);

// Why the case can't be run, or an empty text. Throws what the variant throws.
std::string why_unsupported(const Job& job);

// What the buffer sets of a case may take while it is timed.
std::int64_t memory_for_rotation(const Case& job, const Oracle& oracle);

// The first check that did not pass says the record's status and reason.
void judge_checks(Record& record);

}  // namespace assay
