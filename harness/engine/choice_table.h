// What `auto` runs: for each op and backend a variant of that name stands for the one, with its
// configuration, that a table of the device says. `assay tune` makes the table from records; it is
// text, a tuned problem a line:
//
//   # device: NVIDIA H100 80GB HBM3
//   attnres_fwd dtype=bf16 N=9 Q=1 T=16384 D=2048 -> fused[elements=16 rows=3]  # 236 µs
//
// A problem that is not there takes the nearest row of its op whose choice can run it.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "harness/engine/run_case.h"

namespace assay {

inline constexpr const char* kAuto = "auto";

struct Choice {
  std::string variant;
  Configuration configuration;
  bool operator==(const Choice&) const = default;
};

std::string str(const Choice& choice);  // "fused[elements=16 rows=3]"
// What str gives. Throws UsageError.
Choice parse_choice(std::string_view text);

// Whether the op has a variant of that name on any backend: tables may be read and made where their
// device is not.
bool has_variant(const std::string& op, const std::string& name);

struct ChoiceRow {
  Problem problem;
  Choice choice;
  std::string comment;
};

struct ChoiceTable {
  std::string device;  // name
  std::vector<ChoiceRow> rows;

  const ChoiceRow* find(const Problem& problem) const;  // null: not tuned
  // Replaces the row of its problem, or adds one. The rows are kept in order: by op, then by dtypes
  // and sizes.
  void put(ChoiceRow row);
};

std::string str(const ChoiceTable& table);
// Throws UsageError that names the line.
ChoiceTable parse_choice_table(std::string_view text, const std::string& origin);

// "nvidia-h100-80gb-hbm3.tuning"
std::string choice_file(std::string_view device);
// Of the device, from the first of the folders that has one; without rows where none has. Throws
// UsageError for a file that is none, or of another device.
ChoiceTable load_choice_table(const std::vector<std::filesystem::path>& folders,
                              const std::string& device);

// How unlike two problems of one op are for tuning: octaves between their sizes, and more for
// other dtypes, tensors and options.
double distance(const Problem& a, const Problem& b);

// The variants named `auto`, one for each op and backend that is timed. They cannot run themselves.
const std::vector<const Variant*>& auto_variants();
bool is_auto(const Variant& variant);

// The job that one of an auto variant stands for: its alias is `auto`. Where no row applies, the
// first of fused, tensor_core, split_kv, naive that can, with a note that says so.
Job resolve(const Job& job, const ChoiceTable& table);

}  // namespace assay
