// Golden text for every writer, and the round trip of records through JSON.
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <limits>

#include "harness/core/error.h"
#include "harness/testing.h"
#include "reports/columns.h"
#include "reports/jsonl.h"
#include "reports/writer.h"

namespace assay {
namespace {

Record passed() {
  Record record;
  record.environment = "00c0ffee00c0ffee";
  record.op = "attnres_fwd";
  record.problem = "attnres_fwd dtype=bf16 N=9 Q=1 T=16384 D=2048";
  record.variant = "fused";
  record.backend = "cuda";
  record.device = "NVIDIA H100 80GB HBM3";
  record.numerics = "f32 accumulation, height 32";
  record.repeatability = "bitwise";
  record.workspace_bytes = 8192;
  record.status = Status::passed;
  record.seconds = 1.5;
  record.repro =
      "assay run 'attnres_fwd dtype=bf16 N=9 Q=1 T=16384 D=2048' --variant fused@cuda --seed 1";
  Check check;
  check.kind = "interval";
  check.family = "gaussian";
  check.seed = 18446744073709551615U;
  check.output = "O";
  check.elements = 33554432;
  check.utilisation = 0.125;
  check.worst = Element{{0, 5, 17}, 1.0 / 3, 0.333984375, 1e-6, 0.125};
  record.checks = {check};
  record.measurements = {{.cache = "cold",
                          .clock = "cuda_event",
                          .samples = 212,
                          .median = 237e-6,
                          .p05 = 235.5e-6,
                          .p95 = 240e-6,
                          .bytes_read = 6e8,
                          .bytes_written = 7e7,
                          .flops = 1.2e9,
                          .limit = 3.1e12,
                          .buffer_sets = 2}};
  return record;
}

Record failed() {
  Record record = passed();
  record.variant = "naive";
  record.workspace_bytes = 0;
  record.measurements.clear();
  record.status = Status::failed;
  record.reason = "O[q=0, t=5, d=17] = nan, \"want\" 0.25 | 1 of 33554432 elements wrong";
  record.checks[0].status = Status::failed;
  record.checks[0].utilisation = std::numeric_limits<double>::infinity();
  record.checks[0].worst->got = std::numeric_limits<double>::quiet_NaN();
  record.repro = "assay run 'attnres_fwd …' --variant naive@cuda --seed 1";
  return record;
}

Results results() {
  Results made;
  made.environments.push_back({.facts = {{"gpu", "NVIDIA H100 80GB HBM3"}, {"flags", "-O3 | x"}}});
  add(made, passed());
  add(made, failed());
  return made;
}

std::string written(const std::string& format) {
  for (const Writer& writer : writers())
    if (writer.name == format) return writer.write(results());
  return "no such writer";
}

}  // namespace

TEST_CASE("numbers for people have three digits and a unit") {
  CHECK(format_seconds(237.4e-6) == "237 µs");
  CHECK(format_seconds(1.234e-9) == "1.23 ns");
  CHECK(format_seconds(999.6e-6) == "1.00 ms");
  CHECK(format_seconds(12.34) == "12.3 s");
  CHECK(format_seconds(4000) == "4000 s");
  CHECK(format_rate(2.83e12) == "2.83 TB/s");
  CHECK(format_rate(99.96e9) == "100 GB/s");
}

TEST_CASE("the console table") {
  CHECK(written("console") ==
        "NVIDIA H100 80GB HBM3\n"
        "  variant     status  error/bound  median     p05     p95  least bytes/s  of limit  "
        "workspace\n"
        "attnres_fwd dtype=bf16 N=9 Q=1 T=16384 D=2048\n"
        "  fused@cuda  passed        0.125  237 µs  236 µs  240 µs      2.83 TB/s      91 %    "
        "8.19 kB\n"
        "  naive@cuda  failed          inf\n"
        "    O[q=0, t=5, d=17] = nan, \"want\" 0.25 | 1 of 33554432 elements wrong\n"
        "    assay run 'attnres_fwd …' --variant naive@cuda --seed 1\n"
        "\n"
        "2 cases: 1 passed, 1 failed, 0 unsupported\n");
}

TEST_CASE("the markdown report") {
  CHECK(
      written("markdown") ==
      "# Results\n\n"
      "2 cases: 1 passed, 1 failed, 0 unsupported\n\n"
      "## NVIDIA H100 80GB HBM3\n\n"
      "| problem | variant | status | error/bound | median | p05 | p95 | least bytes/s | of limit "
      "| workspace |\n"
      "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n"
      "| attnres_fwd dtype=bf16 N=9 Q=1 T=16384 D=2048 | fused@cuda | passed | 0.125 | 237 µs | "
      "236 µs | 240 µs | "
      "2.83 TB/s | 91 % | 8.19 kB |\n"
      "| attnres_fwd dtype=bf16 N=9 Q=1 T=16384 D=2048 | naive@cuda | failed | inf |  |  |  |  |  "
      "|  |\n\n"
      "## Not passed\n\n"
      "- `attnres_fwd/naive@cuda` on `attnres_fwd dtype=bf16 N=9 Q=1 T=16384 D=2048`: **failed**, "
      "O[q=0, t=5, d=17] = nan, \"want\" 0.25 \\| 1 of 33554432 elements wrong\n"
      "  `assay run 'attnres_fwd …' --variant naive@cuda --seed 1`\n\n"
      "## Environment\n\n"
      "`" +
          results().environments[0].id() +
          "`\n\n"
          "| fact | value |\n| --- | --- |\n"
          "| gpu | NVIDIA H100 80GB HBM3 |\n"
          "| flags | -O3 \\| x |\n");
}

TEST_CASE("the csv") {
  CHECK(written("csv") ==
        "op,problem,variant,choice,choice_cost,backend,device,status,elements_checked,utilisation,"
        "median_s,p05_s,p95_"
        "s,samples,low_s,high_s,noise,stopped,hot_s,graph_s,traced_s,offset_s,kernels,sm_mhz,"
        "throttled,bytes,"
        "bytes_per_s,limit_bytes_per_s,fraction_of_limit,hot_fraction_of_limit,graph_fraction_of_"
        "limit,counted_bytes,counted_over_least,l2_hits,tensor_pipe,occupancy,counters,"
        "workspace_bytes,peak_bytes,numerics,repeatability,"
        "missing,twin,notes,reason,repro,environment\n"
        "attnres_fwd,attnres_fwd dtype=bf16 N=9 Q=1 T=16384 D=2048,fused,,,cuda,NVIDIA H100 80GB "
        "HBM3,passed,33554432,0.125,"
        "0.000237,0.0002355,0.00024,212,,,0,,,,,0,,,0,670000000,2827004219409.2827,3100000000000,"
        "0.9119368449707363,,,,,,,,,8192,,"
        "\"f32 accumulation, height 32\",bitwise,,,,,"
        "assay run 'attnres_fwd dtype=bf16 N=9 Q=1 T=16384 D=2048' --variant fused@cuda --seed "
        "1,00c0ffee00c0ffee\n"
        "attnres_fwd,attnres_fwd dtype=bf16 N=9 Q=1 T=16384 D=2048,naive,,,cuda,NVIDIA H100 80GB "
        "HBM3,failed,33554432,inf,,,,,"
        ",,,,,,,,,,,,,,,,,,,,,,,0,,\"f32 accumulation, height 32\",bitwise,,,,"
        "\"O[q=0, t=5, d=17] = nan, \"\"want\"\" 0.25 | 1 of 33554432 elements wrong\","
        "assay run 'attnres_fwd …' --variant naive@cuda --seed 1,00c0ffee00c0ffee\n");
}

TEST_CASE("what was measured beside the cold time has columns where there is any") {
  Record record = passed();
  Measurement& cold = record.measurements[0];
  cold.low = 236e-6;
  cold.high = 238e-6;
  cold.noise = 0.002;
  cold.stopped = "precise";
  cold.offset = 2.3e-6;
  cold.floor = 200e-6;
  cold.fma_limit = 6e13;
  cold.matrix_limit = 7e14;
  cold.sm_mhz = 1980;
  cold.throttled = 3;
  cold.repeated = 4;
  cold.traced = 234.5e-6;
  cold.kernels = {{"norms", 2, 100e-6}, {"mix", 1, 130e-6}};
  Measurement hot = cold;
  hot.cache = "hot";
  hot.median = 100e-6;
  record.measurements.push_back(hot);
  record.counters = {{"norms", {{"dram__bytes_read.sum", 6e8}, {"dram__bytes_write.sum", 0}}},
                     {"mix", {{"dram__bytes_write.sum", 8e7}, {"lts__t_sector_hit_rate.pct", 41}}}};
  record.notes = {"no graph"};
  record.spent = {{"timing", 0.5}};
  const auto text = [&](const std::string& key, bool raw) {
    for (const Column& column : columns())
      if (column.key == key) return raw ? column.raw(record) : column.text(record);
    return std::string("no such column");
  };
  CHECK(text("hot_s", false) == "100 µs");
  CHECK(text("graph_s", false).empty());
  CHECK(text("traced_s", true) == "0.0002345");
  CHECK(text("kernels", false) == "2 × norms 100 µs + mix 130 µs");
  CHECK(text("throttled", false) == "3 of 212");
  CHECK(text("sm_mhz", false) == "1980 MHz");
  CHECK(text("fraction_of_limit", false) == "84 %");
  CHECK(text("hot_fraction_of_limit", false) == "200 %");
  CHECK(text("counted_bytes", true) == "680000000");
  CHECK(text("counted_over_least", false) == "1.015");
  CHECK(text("l2_hits", false) == "41 %");
  CHECK(text("notes", true) == "no graph");
  const auto headings = [&](const Record& only) {
    std::string all;
    for (const Column* column : columns_shown({only})) all += column->heading + ";";
    return all;
  };
  CHECK(headings(passed()) ==
        "problem;variant;status;error/bound;median;p05;p95;least bytes/s;of limit;workspace;");
  CHECK(headings(record) ==
        "problem;variant;status;error/bound;median;p05;p95;hot;kernel;kernels;throttled;least "
        "bytes/s;of limit;counted/least bytes;L2 hits;workspace;");

  const Record back = read_record(to_json(record));
  CHECK(to_json(back) == to_json(record));
  REQUIRE(back.measurements.size() == 2);
  CHECK(back.measurements[0].kernels.at(0).count == 2);
  CHECK(back.measurements[0].floor == 200e-6);
  CHECK(back.measurements[0].fma_limit == 6e13);
  CHECK(back.measurements[0].matrix_limit == 7e14);
  CHECK(back.measurements[0].net() == 237e-6 - 2.3e-6);
  CHECK(back.counters.at(1).values.at(1).second == 41);
  CHECK(back.notes == record.notes);
  CHECK(back.spent == record.spent);
}

TEST_CASE("a record survives the way through JSON, with what JSON has no number for") {
  const std::filesystem::path file =
      std::filesystem::temp_directory_path() / "assay_reports_test.jsonl";
  std::ofstream(file) << to_json(passed()) << "\n"
                      << to_json(results().environments[0]) << "\n"
                      << to_json(failed()) << "\n";
  const Results back = read_results({file.string()});
  std::filesystem::remove(file);
  CHECK(back.notes.empty());
  REQUIRE(back.records.size() == 2);
  CHECK(to_json(back.records[0]) == to_json(passed()));
  CHECK(to_json(back.records[1]) == to_json(failed()));
  CHECK(back.records[0].checks[0].seed == 18446744073709551615U);
  CHECK(std::isinf(back.records[1].checks[0].utilisation));
  CHECK(std::isnan(back.records[1].checks[0].worst->got));
  REQUIRE(back.environments.size() == 1);
  CHECK(back.environments[0].id() == results().environments[0].id());
}

TEST_CASE("lines that can't be read are skipped and named") {
  const std::filesystem::path file =
      std::filesystem::temp_directory_path() / "assay_reports_test_bad.jsonl";
  const std::string record = to_json(passed());
  std::string other_schema = record;
  other_schema.replace(other_schema.find("\"schema\":1"), 10, "\"schema\":7");
  std::ofstream(file) << "no json\n\n"
                      << other_schema << "\n{\"schema\":1,\"kind\":\"poem\"}\n{\"schema\":1}\n"
                      << record << "\n"
                      << record.substr(0, record.size() / 2);
  const Results read = read_results({file.string()});
  std::filesystem::remove(file);
  CHECK(read.records.size() == 1);
  REQUIRE(read.notes.size() == 5);
  const std::string name = file.string();
  CHECK(read.notes[0] == name + ":1: skipped, not JSON");
  CHECK(read.notes[1] == name + ":3: skipped, its schema is 7, this program reads 1");
  CHECK(read.notes[2] == name + ":4: skipped, unknown kind `poem`");
  CHECK(read.notes[4] == name + ":7: skipped, the line is cut off");
  CHECK_THROWS_AS(read_results({"/nonexistent"}), UsageError);
}

TEST_CASE("an unwritable path is found when it is opened") {
  CHECK_THROWS_AS(JsonlWriter("/proc/none/results.jsonl"), UsageError);
}

TEST_CASE("only passed and unsupported cases are good") {
  Counts counts;
  counts.add(passed());
  CHECK(counts.good());
  Record record = passed();
  record.status = Status::unsupported;
  record.reason = "needs compute capability 9 or later, this device has 8";
  counts.add(record);
  CHECK(counts.good());
  CHECK(summary(counts) ==
        "2 cases: 1 passed, 0 failed, 1 unsupported\n"
        "  unsupported × 1: needs compute capability 9 or later, this device has 8");
  for (const Status status :
       {Status::failed, Status::mistrusted, Status::timeout, Status::crashed, Status::error}) {
    Counts bad = counts;
    record.status = status;
    bad.add(record);
    CHECK_FALSE(bad.good());
  }
}

}  // namespace assay
