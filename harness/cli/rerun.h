// Runs the case of a record again, in a program of one's choice, as its repro line says.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "harness/core/record.h"

namespace assay {

// The arguments of "assay run 'PROBLEM' --variant fused@cuda --seed 1": the words behind `assay`.
// Nothing, where the line is anything but such a run: lines come with files from elsewhere, and
// may not say where to write.
std::optional<std::vector<std::string>> rerun_arguments(const std::string& repro);

// No shell takes part. Nothing where it can't be run or ran on another device; `why_not` says why.
std::optional<Record> rerun(const std::string& program, const Record& record, std::string& why_not);

}  // namespace assay
