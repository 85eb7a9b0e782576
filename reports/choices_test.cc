#include "reports/choices.h"

#include "harness/compare/testing_records.h"
#include "harness/testing.h"
#include "reports/columns.h"

namespace assay {
namespace {

Record timed(const char* variant, double seconds) {
  return timed_case(machine("now", "GPU"), variant, 64, seconds, 1, 0);
}

std::string text(const Record& record, const char* key) {
  for (const Column& column : columns())
    if (column.key == key) return column.text(record);
  return "no such column";
}

}  // namespace

TEST_CASE("a choice costs what the fastest variant of the same problem and device would save") {
  std::vector<Record> records = {timed("fused", 2e-6), timed("fused[rows=2]", 1.6e-6),
                                 timed("naive", 9e-6), timed("auto", 2e-6)};
  records.back().choice = "fused";
  weigh_choices(records);
  REQUIRE(records.back().choice_cost);
  CHECK(records.back().choice_cost->share == Approx(0.25));
  CHECK(text(records.back(), "choice") == "fused");
  CHECK(text(records.back(), "choice_cost") == "+25.0 % over fused[rows=2]");
  CHECK(!records.front().choice_cost);
}

TEST_CASE("what auto may not choose is no measure of its choice") {
  std::vector<Record> records = {timed("fused", 2e-6), timed("auto", 1.98e-6)};
  records.back().choice = "fused";
  for (const char* faster : {"atomics", "rounded", "failed", "theirs", "elsewhere"})
    records.push_back(timed(faster, 1e-6));
  records[2].repeatability = "order_dependent";
  records[3].numerics += ", bf16 probabilities";
  records[4].status = Status::failed;
  records[5].repro = "scripts/peers/torch_bench.py ...";
  records[6].device = "another GPU";
  weigh_choices(records);
  REQUIRE(records[1].choice_cost);
  CHECK(records[1].choice_cost->share == Approx(-0.01));
  CHECK(text(records[1], "choice_cost") == "best");
}

TEST_CASE("a choice without others beside it has no cost") {
  std::vector<Record> records = {timed("auto", 1e-6)};
  records.back().choice = "fused";
  weigh_choices(records);
  CHECK(!records.back().choice_cost);
  CHECK(text(records.back(), "choice_cost").empty());
}

}  // namespace assay
