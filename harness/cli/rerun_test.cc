// Which repro lines are run again: those of a case, with nothing in them that could do harm.
#include "harness/cli/rerun.h"

#include "harness/testing.h"
#include "harness/testing_program.h"

namespace assay {

TEST_CASE("a repro line becomes the arguments of a run") {
  const auto arguments = rerun_arguments(
      "assay run 'attnres_fwd dtype=bf16 N=9 T=64 D=2048' --variant fused@cuda --seed 1 --seeds 3 "
      "--device 2");
  REQUIRE(arguments);
  CHECK(*arguments == std::vector<std::string>{"run", "attnres_fwd dtype=bf16 N=9 T=64 D=2048",
                                               "--variant", "fused@cuda", "--seed", "1", "--seeds",
                                               "3", "--device", "2"});
}

TEST_CASE("a line that is anything but a case is not run") {
  for (const char* line : {
           "",
           "assay",
           "assay run",
           "rm -rf /",
           "assay run 'attnres_fwd N=1' --out /etc/passwd",
           "assay run 'attnres_fwd N=1' --dump /etc",
           "assay run 'attnres_fwd N=1' --variant",
           "assay run 'attnres_fwd N=1' --variant --out",
           "assay run 'attnres_fwd N=1' more",
           "assay run 'attnres_fwd N=1",
           "assay run quick --variant fused@cpu",
           "assay run --out 'a b' --variant x",
           "assay export 'attnres_fwd N=1' --to DIR",
           "scripts/peers/torch_bench.py 'attnres_fwd N=1'",
       }) {
    INFO(line);
    CHECK_FALSE(rerun_arguments(line));
  }
}

TEST_CASE("what can't be run again says why") {
  Record record;
  record.repro = "assay run 'attnres_fwd N=3 T=2 D=8' --variant fused@cpu --seed 1";
  std::string why;
  CHECK_FALSE(rerun("/nonexistent/assay", record, why));
  CHECK(contains(why, "cannot start /nonexistent/assay: No such file"));
  CHECK_FALSE(rerun("/bin/false", record, why));
  CHECK(contains(why, "/bin/false ended with exit code 1"));
  record.repro = "reboot";
  CHECK_FALSE(rerun("/bin/false", record, why));
  CHECK(why == "its repro line is no `assay run`");
}

}  // namespace assay
