// Records as comparisons meet them, for tests: a machine, cases with simulated times.
#pragma once

#include <cmath>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "reports/results.h"

namespace assay {

inline Environment machine(const std::string& commit, const std::string& device = "NVIDIA H100",
                           const std::string& power = "700 W") {
  return {.facts = {{"date", commit},
                    {"commit", commit},
                    {"cuda:0", device},
                    {"cuda:0 power limit", power},
                    {"cuda:0 driver", "580"}}};
}

// A passed case whose samples scatter by `noise` around `seconds`.
inline Record timed_case(const Environment& environment, const std::string& variant, int tokens,
                         double seconds, std::uint64_t seed, double noise = 0.005,
                         int samples = 100) {
  Record record;
  record.environment = environment.id();
  record.op = "attnres_fwd";
  record.problem = "attnres_fwd dtype=bf16 N=9 T=" + std::to_string(tokens) + " D=2048";
  record.variant = variant;
  record.backend = "cuda";
  for (const auto& [key, value] : environment.facts)
    if (key == "cuda:0") record.device = value;
  record.contract = "c0ffee";
  record.numerics = "f32 accumulation, height 32";
  record.repeatability = "bitwise";
  record.status = Status::passed;
  record.repro = "assay run '" + record.problem + "' --variant " + variant + "@cuda --seed 1";
  Check check;
  check.kind = "interval";
  check.family = "gaussian";
  check.seed = 1;
  check.output = "O";
  check.elements = 1000;
  check.utilisation = 0.1;
  check.error_rms = 1e-4;
  check.error_normwise = 1e-3;
  record.checks = {check};
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  Measurement measurement{.cache = "cold",
                          .clock = "cuda_event",
                          .samples = samples,
                          .median = seconds,
                          .p05 = seconds * (1 - 1.645 * noise),
                          .p95 = seconds * (1 + 1.645 * noise),
                          .bytes_read = 1e6,
                          .bytes_written = 1e5,
                          .flops = 1e6};
  for (int i = 0; i < samples; ++i)
    measurement.taken.push_back(
        {.seconds = seconds * std::exp(noise * normal(random)), .sm_mhz = 1980});
  record.measurements = {std::move(measurement)};
  return record;
}

// `count` cases of 100 µs, each run a little off (`run_to_run`) in its own way.
inline Results simulated_run(const std::string& commit, int count, std::uint64_t seed,
                             double run_to_run = 0.003) {
  Results results;
  results.environments = {machine(commit)};
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  for (int i = 0; i < count; ++i) {
    const double seconds = 1e-4 * std::exp(run_to_run * normal(random));
    add(results, timed_case(results.environments[0], "fused", i + 1, seconds, random()));
  }
  return results;
}

inline void scale(Record& record, double factor) {
  for (Measurement& measurement : record.measurements) {
    measurement.median *= factor;
    for (Sample& sample : measurement.taken) sample.seconds *= factor;
  }
}

}  // namespace assay
