#include "harness/cli/live_table.h"

#include "harness/testing.h"
#include "reports/writer.h"

namespace assay {
namespace {

Record record(const std::string& variant, Status status) {
  Record made;
  made.problem = "attnres_fwd dtype=bf16 N=9 Q=1 T=16384 D=2048";
  made.variant = variant;
  made.backend = "cuda";
  made.status = status;
  if (status != Status::passed) return made;
  made.checks.resize(1);
  made.checks[0].utilisation = 0.0934;
  made.measurements = {{.cache = "cold", .median = 239e-6, .bytes_read = 6.7e8, .limit = 3.05e12}};
  return made;
}

}  // namespace

TEST_CASE("durations for people") {
  CHECK(format_duration(3.4) == "3 s");
  CHECK(format_duration(250) == "4 min 10 s");
  CHECK(format_duration(7500) == "2 h 5 min");
}

TEST_CASE("the live table shows how far a sweep is, the last cases and the running one") {
  LiveTable table(4);
  table.end_case(record("fused", Status::passed));
  table.end_case(record("naive", Status::failed));
  table.begin_case("tensor_core@cuda", "attnres_fwd N=2", "14:03:12");
  CHECK(table.lines(82, 12, 130) ==
        std::vector<std::string>{
            "━━━━━━━━━━────────── 2 of 4  1 passed, 1 failed  2 min 10 s, about 2 min 10 s left",
            "   variant           status  error/bound  median  of limit  problem",
            "   fused@cuda        passed        0.093  239 µs      92 %  attnres_fwd dtype=bf16",
            "   naive@cuda        failed                                 attnres_fwd dtype=bf16",
            "▸  tensor_core@cuda  running since 14:03:12                 attnres_fwd N=2"});
}

TEST_CASE("the live table keeps to the size of the terminal") {
  LiveTable table(100);
  for (int i = 0; i < 30; ++i) table.end_case(record("fused", Status::passed));
  table.begin_case("fused@cuda", "attnres_fwd N=2", "14:03:12");
  for (const std::size_t height : {1U, 3U, 4U, 8U, 60U}) {
    for (const std::size_t width : {1U, 10U, 40U, 79U}) {
      const std::vector<std::string> lines = table.lines(width, height, 9);
      CHECK(lines.size() <= height);
      for (const std::string& line : lines) CHECK(display_width(line) <= width);
    }
  }
  CHECK(table.lines(79, 12, 9).size() == 12);
}

}  // namespace assay
