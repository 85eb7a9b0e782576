// How long a comparison of two files of 10 000 records takes, from the files to its table: under 2
// s is wanted.
#include <benchmark/benchmark.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "harness/compare/compare.h"
#include "harness/compare/testing_records.h"
#include "reports/jsonl.h"

namespace assay {
namespace {

constexpr int kCases = 10'000;

// As large as records are: eight checks (3.9 kB on average in reports/results), 76 samples in the
// median.
std::string write_run(const std::filesystem::path& folder, const std::string& name,
                      std::uint64_t seed) {
  const std::string path = (folder / (name + ".jsonl")).string();
  JsonlWriter writer(path);
  writer.write(machine(name));
  for (int i = 0; i < kCases; ++i) {
    Record record = timed_case(machine(name), "fused", i + 1, 1e-4, seed + i, 0.005, 76);
    record.checks[0].worst = Element{{0, 5, 17}, 1.0 / 3, 0.333984375, 1e-6, 0.125};
    record.checks[0].ulps = {900, 80, 15, 5};
    record.checks.resize(12, record.checks[0]);
    for (std::size_t c = 0; c < record.checks.size(); ++c) record.checks[c].seed = c + 1;
    writer.write(std::move(record));
  }
  return path;
}

void compare_ten_thousand(benchmark::State& state) {
  const std::filesystem::path folder =
      std::filesystem::temp_directory_path() / ("assay_benchmark_" + std::to_string(getpid()));
  std::filesystem::create_directories(folder);
  const std::string base = write_run(folder, "old", 1);
  const std::string next = write_run(folder, "new", 1'000'000);
  for (auto _ : state) {
    const Comparison comparison = compare(read_results({base}), read_results({next}), {});
    for (const ComparisonWriter& writer : comparison_writers())
      benchmark::DoNotOptimize(writer.write(comparison));
    if (comparison.cases.size() != kCases) state.SkipWithError("cases are missing");
  }
  state.counters["file_MB"] = static_cast<double>(std::filesystem::file_size(base)) * 1e-6;
  std::filesystem::remove_all(folder);
}

BENCHMARK(compare_ten_thousand)->Unit(benchmark::kMillisecond)->UseRealTime()->Iterations(3);

}  // namespace
}  // namespace assay
