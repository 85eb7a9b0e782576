// Thresholds from TOML: the committed file is the defaults, mistakes are named with their line.
#include "harness/compare/thresholds.h"

#include "harness/core/error.h"
#include "harness/testing.h"
#include "harness/testing_program.h"

namespace assay {
namespace {

std::string mistake_in(const std::string& text) {
  try {
    parse_thresholds(text, "t.toml");
  } catch (const UsageError& error) {
    return error.what();
  }
  return "none";
}

}  // namespace

TEST_CASE("the committed thresholds are the defaults") {
  const Thresholds file = read_thresholds(ASSAY_SOURCE_DIR "/reports/thresholds.toml");
  CHECK(file == Thresholds{});
}

TEST_CASE("what a file leaves out keeps its default, and the last match decides") {
  const Thresholds t = parse_thresholds(
      "# a comment\n[findings]\nfalse_discovery_rate = 0.05\n[time]\neffect = 0.02\n"
      "[[time.for]]\ncases = '*@cuda'\nrun_to_run = 0.01\n"
      "[[time.for]]\ncases = 'attnres_fwd/naive@*'\neffect = 0.1\n",
      "t.toml");
  CHECK(t.false_discovery_rate == 0.05);
  CHECK(t.confidence == Thresholds{}.confidence);
  CHECK(t.for_case("attnres_fwd/fused@cuda").run_to_run == 0.01);
  CHECK(t.for_case("attnres_fwd/fused@cuda").effect == 0.02);
  CHECK(t.for_case("attnres_fwd/naive@cuda").effect == 0.1);
  CHECK(t.for_case("attnres_fwd/naive@cuda").run_to_run == TimeThresholds{}.run_to_run);
  CHECK(t.for_case("attnres_fwd/fused@cpu").effect == 0.02);
}

TEST_CASE("mistakes in thresholds are named with their line and what would be right") {
  CHECK(contains(mistake_in("[time]\nefect = 0.1\n"),
                 "t.toml:2: unknown key `efect`, did you mean `effect`?"));
  CHECK(contains(mistake_in("[times]\n"), "t.toml:1: unknown key `times`"));
  CHECK(contains(mistake_in("[time]\neffect = 'much'\n"), "t.toml:2: effect must be a number"));
  CHECK(contains(mistake_in("[time]\neffect = -1\n"), "from 0 to 10"));
  CHECK(contains(mistake_in("[time]\neffect = nan\n"), "t.toml:2: effect must be a number"));
  CHECK(contains(mistake_in("[findings]\nreruns = 0.5\n"), "reruns must be a whole number"));
  CHECK(contains(mistake_in("[findings]\nmissing_is_regression = 1\n"), "must be true or false"));
  CHECK(contains(mistake_in("[[time.for]]\neffect = 1\n"), "cases must be a text"));
  CHECK(contains(mistake_in("time = 3\n"), "time must be a table"));
  CHECK(contains(mistake_in("[time\n"), "t.toml:1: "));
  CHECK_THROWS_AS(read_thresholds("/nonexistent.toml"), UsageError);
}

}  // namespace assay
