#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "harness/cli/commands.h"
#include "harness/compare/testing_records.h"
#include "harness/core/error.h"
#include "harness/engine/suite.h"
#include "harness/testing.h"
#include "harness/testing_program.h"

namespace assay {
namespace {

Record timed(const char* variant, double seconds) {
  return timed_case(machine("now", "CPU"), variant, 64, seconds, 1, 0);
}

std::string chosen(const std::vector<Record>& records) {
  const std::vector<ChoiceRow> rows = tuned_rows(records, "CPU");
  return rows.empty() ? "" : str(rows.front().choice) + " # " + rows.front().comment;
}

}  // namespace

TEST_CASE("the fastest variant is chosen, in a configuration only where that pays") {
  CHECK(chosen({timed("naive", 5e-6), timed("fused", 2e-6), timed("fused[rows=2]", 1.9e-6)}) ==
        "fused[rows=2] # 1.90 µs; naive 5.00 µs");
  CHECK(chosen({timed("naive", 5e-6), timed("fused", 2e-6), timed("fused[rows=2]", 1.99e-6)}) ==
        "fused # 2.00 µs; naive 5.00 µs");
}

TEST_CASE("what is not ours, not right, not timed or of another device is not chosen") {
  Record failed = timed("fused", 1e-6), untimed = timed("split_kv", 1e-6), other = untimed;
  failed.status = Status::failed;
  untimed.measurements.clear();
  other.device = "another";
  CHECK(chosen({failed, untimed, other, timed("liger", 1e-6), timed("naive", 5e-6)}) ==
        "naive # 5.00 µs");
  CHECK(chosen({failed, untimed, other}).empty());
}

TEST_CASE("tune writes a table, keeps its other rows, and auto runs by it") {
  const std::filesystem::path folder = std::filesystem::temp_directory_path() / "assay_tune_test";
  std::filesystem::remove_all(folder);
  RunArguments run;
  run.what = {"attnres_fwd N=3 T=4 D=64", "attnres_merge_fwd T=4 D=64"};
  run.backends = {"cpu"};
  run.quiet = run.in_process = true;
  run.measure.caches = "cold";
  run.measure.sampling = {
      .min_samples = 10, .min_seconds = 0, .max_seconds = 0.05, .max_samples = 20};
  TuneArguments arguments;
  arguments.run = run;
  arguments.folder = folder.string();
  REQUIRE(tune_command(arguments) == kExitGood);
  const std::string device = choose_device(Backend::cpu, 0).name;
  ChoiceTable table = load_choice_table({folder}, device);
  CHECK(table.rows.size() == 2);
  arguments.run.what = {"attnres_fwd N=3,5 T=4 D=64"};
  REQUIRE(tune_command(arguments) == kExitGood);
  table = load_choice_table({folder}, device);
  CHECK(table.rows.size() == 3);

  Selection selection;
  selection.globs = {"auto"};
  selection.backends = {Backend::cpu};
  selection.tables = {folder};
  std::vector<Record> records;
  run.what = {"attnres_fwd N=5 T=4 D=64"};
  REQUIRE(sweep(run, selection, &records).good());
  REQUIRE(records.size() == 1);
  CHECK(records[0].variant == "auto");
  CHECK(records[0].choice == str(table.find(parse_problem("attnres_fwd N=5 T=4 D=64"))->choice));
  CHECK(records[0].notes.empty());
  CHECK_THAT(records[0].repro, Catch::Contains("--variant auto@cpu"));
  std::filesystem::remove_all(folder);
}

TEST_CASE("tune wants problems or records, not both") {
  CHECK_THROWS_WITH(tune_command({}), Catch::Contains("or --from FILE"));
}

}  // namespace assay
