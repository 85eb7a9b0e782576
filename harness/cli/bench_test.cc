// The front for Google Benchmark, run as a user runs it.
#include <fstream>
#include <sstream>

#include "harness/testing.h"
#include "harness/testing_program.h"

namespace assay {
namespace {

constexpr const char* kProblem = "bench 'attnres_fwd dtype=bf16 N=3 T=2 D=8' ";

}  // namespace

TEST_CASE("cases are benchmarks, which filters choose from", "[bench]") {
  const Outcome list = assay(std::string(kProblem) +
                             "--backend cpu --benchmark_list_tests --benchmark_filter=fused");
  INFO(list.text);
  CHECK(list.code == 0);
  CHECK(contains(list.text, "fused@cpu/attnres_fwd/dtype=bf16/N=3/Q=1/T=2/D=8/manual_time\n"));
  CHECK_FALSE(contains(list.text, "naive@cpu"));
}

TEST_CASE("a benchmark is verified, timed and written as JSON", "[bench]") {
  const Folder folder;
  const std::string path = (folder / "bench.json").string();
  const Outcome outcome = assay(std::string(kProblem) +
                                "--variant naive@cpu --cache cold,hot --benchmark_min_time=0.001 "
                                "--benchmark_repetitions=2 --benchmark_out=" +
                                path);
  INFO(outcome.text);
  REQUIRE(outcome.code == 0);
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  for (const char* part :
       {"\"name\": \"naive@cpu/attnres_fwd/dtype=bf16/N=3/Q=1/T=2/D=8/manual_time\"",
        "/D=8/cache=hot/manual_time\"", "\"bytes_per_second\"", "\"of_limit\"",
        "\"error_over_bound\"", "manual_time_median", "\"commit\""})
    CHECK(contains(text.str(), part));
  CHECK_FALSE(contains(text.str(), "error_occurred\": true"));
}

TEST_CASE("a case that does not pass is a benchmark that failed", "[bench]") {
  const Outcome outcome = assay(
      "bench 'attnres_fwd dtype=bf16 N=3,64 T=1000000000,2 D=8192' --variant naive@cpu "
      "--benchmark_filter='N=64/Q=1/T=1000000000|N=3/Q=1/T=2/' --benchmark_min_time=0.001");
  INFO(outcome.text);
  CHECK(outcome.code == 1);
  CHECK(contains(outcome.text, "ERROR OCCURRED: 'error: needs "));
  CHECK(contains(outcome.text, "bytes_per_second="));  // of the other
}

TEST_CASE("what bench does not know is wrong usage", "[bench]") {
  const Outcome flag = assay(std::string(kProblem) + "--backend cpu --poem");
  CHECK(flag.code == 2);
  CHECK(contains(flag.text, "unknown argument `--poem`"));
  const Outcome none = assay(std::string(kProblem) + "--backend cpu --benchmark_filter=poem");
  CHECK(none.code == 2);
  CHECK(contains(none.text, "no benchmark matches the filter"));
  const Outcome cache = assay(std::string(kProblem) + "--backend cpu --cache warm");
  CHECK(cache.code == 2);
  CHECK(contains(cache.text, "unknown cache state `warm`"));
}

}  // namespace assay
