#include "harness/cli/watch.h"

#include "harness/core/error.h"
#include "harness/core/file.h"
#include "harness/core/registry.h"
#include "harness/engine/suite.h"
#include "harness/testing_program.h"

namespace assay {
namespace {

Record passed(const std::string& problem) {
  Record record;
  record.op = "attnres_fwd";
  record.problem = problem;
  record.variant = "fused";
  record.backend = "cpu";
  record.device = "a CPU";
  record.status = Status::passed;
  record.measurements = {{.cache = "cold", .samples = 4000, .median = 1e-6}};
  record.measurements[0].taken.resize(4000, {.seconds = 1e-6});
  return record;
}

}  // namespace

TEST_CASE("a watched page is there at once, is not written too often, and says when it is over") {
  const Folder folder;
  const std::string path = (folder / "watch.html").string();
  Watch watch(path, {.facts = {{"commit", "abc"}}}, 3);
  CHECK(contains(read_file(path), R"("ongoing":{"done":0,"cases":3,"running":"","written":")"));
  const Job job{parse_problem("attnres_fwd N=2 T=1 D=8"), variants().front(), nullptr};
  for (const char* problem : {"attnres_fwd N=2", "attnres_fwd N=3", "attnres_fwd N=4"}) {
    watch.begin_case(job);
    watch.end_case(passed(problem));
  }
  CHECK(contains(read_file(path), R"("records":0,)"));  // two seconds have not passed
  watch.finish();
  const std::string page = read_file(path);
  CHECK(contains(page, R"("records":3,"ongoing":null)"));
  CHECK(contains(page, R"({"count":500,"every":1,)"));  // of 4000 samples
}

TEST_CASE("run --watch leaves the report of the sweep, and wants a path that can be written") {
  const Folder folder;
  const std::string path = (folder / "watch.html").string();
  const std::string run =
      "run 'attnres_fwd dtype=bf16 N=3 T=2 D=8' --backend cpu --verify-only --watch ";
  const Outcome outcome = assay(run + path);
  INFO(outcome.text);
  CHECK(outcome.code == 0);
  CHECK(contains(outcome.text, "report in " + path));
  CHECK(contains(read_file(path), R"("records":4,"ongoing":null)"));
  const Outcome wrong = assay(run + "/proc/none/x.html");
  CHECK(wrong.code == 2);
  CHECK(contains(wrong.text, "cannot write /proc/none/x.html"));
}

}  // namespace assay
