// Comparison: what two files of results say about each other, case by case. harness/compare makes
// it; the files beside this one show it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "harness/core/record.h"

namespace assay {

enum class Change : std::uint8_t { same, faster, slower, unclear };

std::string_view name(Change change);

// Of the time of a case in one cache state.
struct TimeChange {
  std::string cache;
  Change change = Change::unclear;
  double base = 0, next = 0;  // medians, seconds
  double ratio = 1;           // next / base
  double low = 0, high = 0;   // the interval of the ratio
  double standard_error = 0;  // of log(ratio), with what runs differ by
  double p = 1;               // of a ratio so far from 1 if it were within the least effect
  int reruns = 0;             // that decided instead of the file's own run
  std::string why;            // of what is not plain
};

// Of what a case computed. One that is no regression is worth a line nevertheless.
struct NumericChange {
  std::string what;  // verdict, utilisation, error, repeatability, numerics
  bool regression = false;
  std::string text;
};

struct CaseChange {
  std::string op, problem, variant, backend, device;
  std::string repro;  // of the new record
  std::vector<TimeChange> times;
  std::vector<NumericChange> numerics;

  std::string id() const { return op + "/" + variant + "@" + backend; }
  std::string bare_name() const { return variant + "@" + backend; }
  bool slower() const;
  bool numerics_regressed() const;
  bool regression() const { return slower() || numerics_regressed(); }
};

struct GeometricMean {
  std::string op, variant, cache;  // "fused@cuda"; empty: all
  double ratio = 1;
  int cases = 0;
};

struct Comparison {
  std::string base, next;                // how the two are called
  std::vector<std::string> differences;  // of the environments, a line each
  std::vector<std::string> notes;
  std::vector<CaseChange> cases;          // in the order of the new file
  std::vector<std::string> only_in_base;  // id, problem and device
  std::vector<std::string> only_in_next;
  std::vector<GeometricMean> means;  // by op, variant and cache state; the last are of all cases
  double confidence = 0.95;
  bool missing_is_regression = false;

  int count(Change change) const;  // of times
  int regressions() const;         // cases, and missing ones if they count
};

// "12 cases, 24 times: 20 same, 1 faster, 1 slower, 2 unclear; numerics: 1 worse, …"
std::string summary(const Comparison& comparison);

std::string format_change(double ratio);           // "+5.0 %"
std::string format_interval(const TimeChange& t);  // "+4.1 % to +5.9 %"

// A way of showing a comparison: one file in this folder that registers itself.
struct ComparisonWriter {
  std::string name;  // --format NAME
  std::string summary;
  std::string (*write)(const Comparison&);
};

struct RegisterComparisonWriter {
  RegisterComparisonWriter(ComparisonWriter writer);  // NOLINT(google-explicit-constructor)
};

const std::vector<ComparisonWriter>& comparison_writers();  // sorted by name

}  // namespace assay

// ASSAY_COMPARISON_WRITER(junit) { .name = "junit", ... };
#define ASSAY_COMPARISON_WRITER(identifier)                                             \
  static const ::assay::RegisterComparisonWriter assay_comparison_writer_##identifier = \
      ::assay::ComparisonWriter
