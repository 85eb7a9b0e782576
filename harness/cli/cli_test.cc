// The program as a user meets it: exit codes, messages, files.
#include <filesystem>
#include <fstream>
#include <sstream>

#include "harness/backend/backend.h"
#include "harness/testing.h"
#include "harness/testing_program.h"

namespace assay {
namespace {

std::string read(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

constexpr const char* kSmall = "'attnres_fwd dtype=bf16 N=3 T=2 D=8' --backend cpu --verify-only ";

}  // namespace

TEST_CASE("wrong usage ends with exit code 2 and says what would be right") {
  struct Mistake {
    const char* arguments;
    const char* says;
  };
  const Mistake mistakes[] = {
      {"", "subcommand is required"},
      {"run", "what is required"},
      {"run quik", "unknown suite `quik`, did you mean `quick`?"},
      {"run nowhere/x.suite", "no suite file nowhere/x.suite"},
      {"run 'attnres_fw N=1 T=1 D=1'", "unknown op `attnres_fw`, did you mean `attnres_fwd`?"},
      {"run 'attnres_fwd N=1 T=1 D=0'", "problem:1:23: D=0: a dim is at least 1"},
      {"run quick --variant fusd", "no variant matches `fusd`, did you mean `fused`?"},
      {"run quick --variant attnres_fwd/fusd@cpu", "did you mean `attnres_fwd/fused@cpu`?"},
      {"run quick --backend gpu", "unknown backend `gpu`, did you mean `cpu`?"},
      {"run quick --variant '*@cpu' --backend simt", "simt"},
      {"run quick --seed x", "--seed"},
      {"worker", "`assay worker` is what `assay run` starts"},
      {"report /nonexistent.jsonl", "cannot read /nonexistent.jsonl"},
      {"list variant", "nothing to list named `variant`, did you mean `variants`?"},
      {"list families attnres_fw", "unknown op `attnres_fw`, did you mean `attnres_fwd`?"},
      {"list ops attnres_fwd", "`list families attnres_fwd` does"},
      {"run 'attnres_fwd N=1 T=1 D=1 family=gausian'", "did you mean `gaussian`?"},
      {"selftest twin", "no part of the self-test is named `twin`, did you mean `twins`?"},
      {"selftest twins --backend cpu", "backend `cpu` runs no CUDA sources"},
      {"selftest twins --backend smt", "unknown backend `smt`, did you mean `simt`?"},
      {"selftest twins --backend simt --check 'wrap/*'", "no check matches"},
      {"run "
       "'attnres_fwd N=3 T=2 D=8'"
       " --out /proc/none/x.jsonl",
       "cannot write /proc/none/x.jsonl"},
  };
  for (const Mistake& mistake : mistakes) {
    INFO(mistake.arguments);
    const Outcome outcome = assay(mistake.arguments);
    INFO(outcome.text);
    CHECK(outcome.code == 2);
    CHECK(contains(outcome.text, mistake.says));
  }
}

TEST_CASE("an empty sweep is no success") {
  const Folder folder;
  std::ofstream(folder / "empty.suite") << "# nothing here\n";
  const Outcome outcome = assay("run " + (folder / "empty.suite").string());
  CHECK(outcome.code == 2);
  CHECK(contains(outcome.text, "no case matched"));
}

TEST_CASE("asking for cuda without a device is a usage error that says why") {
  Platform* cuda = find_platform(Backend::cuda);
  if (cuda && !cuda->devices().empty()) ASSAY_SKIP("this machine has a CUDA device");
  const Outcome outcome = assay("run quick --backend cuda");
  CHECK(outcome.code == 2);
  CHECK(contains(outcome.text, "cuda"));
  CHECK(assay("selftest twins --backend cuda").code == 2);
}

TEST_CASE("a counter that the GPU does not have is a usage error, before anything is written") {
  Platform* cuda = find_platform(Backend::cuda);
  if (!cuda || cuda->devices().empty()) ASSAY_SKIP("no CUDA device");
  const Folder folder;
  const std::filesystem::path out = folder / "results.jsonl";
  const Outcome outcome = assay("run 'attnres_fwd N=3 T=2 D=8' --backend cuda --counters " +
                                std::string("dram__poems.sum --out ") + out.string());
  if (contains(outcome.text, "CUPTI is not installed")) ASSAY_SKIP("CUPTI is not installed");
  CHECK(outcome.code == 2);
  CHECK(contains(outcome.text, "no counter `dram__poems.sum`"));
  CHECK_FALSE(std::filesystem::exists(out));
}

TEST_CASE("a sweep appends records that report can read") {
  const Folder folder;
  const std::string out = (folder / "results.jsonl").string();
  const Outcome first = assay("run " + std::string(kSmall) + "--out " + out);
  INFO(first.text);
  CHECK(first.code == 0);
  CHECK(contains(first.text, "4 cases: 4 passed, 0 failed, 0 unsupported"));
  CHECK(assay("run " + std::string(kSmall) + "--variant fused --out " + out).code == 0);
  const std::string text = read(out);
  CHECK(std::count(text.begin(), text.end(), '\n') == 2 + 4 + 1);  // two environments, five cases
  CHECK(contains(text, R"({"schema":1,"kind":"environment","id":")"));
  CHECK(contains(text, R"("problem":"attnres_fwd dtype=bf16 N=3 Q=1 T=2 D=8")"));
  CHECK_FALSE(contains(text, ASSAY_SOURCE_DIR));  // no absolute paths
  CHECK_FALSE(contains(text, folder.operator/("").string()));

  const Outcome console = assay("report " + out);
  CHECK(console.code == 0);
  CHECK(contains(console.text, "4 cases: 4 passed"));  // the newest of each case
  CHECK(contains(assay("report --format markdown " + out).text, "| problem | variant | status |"));
  const Outcome csv = assay("report --format csv " + out);
  CHECK(std::count(csv.text.begin(), csv.text.end(), '\n') == 1 + 4);
  CHECK(assay("report --format cvs " + out).code == 2);
}

TEST_CASE(
    "a results file that was cut in the middle of a line is still read, and goes on growing") {
  const Folder folder;
  const std::filesystem::path out = folder / "results.jsonl";
  REQUIRE(assay("run " + std::string(kSmall) + "--out " + out.string()).code == 0);
  std::filesystem::resize_file(out, std::filesystem::file_size(out) - 40);
  const Outcome cut = assay("report " + out.string());
  CHECK(cut.code == 0);
  CHECK(contains(cut.text, ":5: skipped, the line is cut off"));
  CHECK(contains(cut.text, "3 cases: 3 passed"));
  REQUIRE(
      assay("run " + std::string(kSmall) + "--variant tensor_core --out " + out.string()).code ==
      0);
  CHECK(contains(assay("report " + out.string()).text, "4 cases: 4 passed"));
}

TEST_CASE("a problem larger than memory is an error of that case, and the others go on") {
  const Outcome outcome = assay(
      "run 'attnres_fwd dtype=bf16 N=64 T=1000000000,2 D=8192' --variant fused@cpu --verify-only");
  INFO(outcome.text);
  CHECK(outcome.code == 1);
  CHECK(contains(outcome.text, "bytes"));
  CHECK(contains(outcome.text, "2 cases: 1 passed, 0 failed, 0 unsupported, 1 error"));
}

TEST_CASE("help shows examples and exit codes") {
  const Outcome help = assay("--help");
  CHECK(help.code == 0);
  CHECK(contains(help.text, "Examples:"));
  CHECK(contains(help.text, "Exit code: 0 all good"));
  for (const char* option : {"--variant", "--backend", "--device", "--verify-only", "--seed",
                             "--out", "--in-process", "--timeout"})
    CHECK(contains(assay("run --help").text, option));
}

TEST_CASE("the smoke suite passes on every variant of the CPU") {
  const Outcome outcome = assay("run attnres_smoke merge_smoke --backend cpu --verify-only");
  INFO(outcome.text.substr(outcome.text.size() - std::min<std::size_t>(outcome.text.size(), 2000)));
  CHECK(outcome.code == 0);
  CHECK(contains(outcome.text, "954 cases: 954 passed, 0 failed, 0 unsupported"));
}

TEST_CASE("the CUDA sources run on the CPU, are verified and never timed") {
  const std::filesystem::path file =
      std::filesystem::temp_directory_path() / "assay_cli_simt.jsonl";
  std::filesystem::remove(file);
  const std::string problem = "'attnres_fwd dtype=bf16,f32 N=3 Q=2 T=2 D=33' ";
  const Outcome outcome = assay("run " + problem + "--backend simt --out " + file.string());
  INFO(outcome.text);
  CHECK(outcome.code == 0);
  CHECK(contains(outcome.text, "16 cases: 12 passed, 0 failed, 4 unsupported"));
  const Outcome report = assay("report " + file.string());
  CHECK(contains(report.text, "fused@simt"));
  CHECK(contains(report.text, "never timed"));
  std::filesystem::remove(file);

  // A glob that names simt is enough; a device of another architecture has its own limits.
  CHECK(assay("run " + problem + "--variant fused@simt --device 1 --schedule starve").code == 0);
  CHECK(assay("run " + problem + "--backend simt --schedule sideways").code == 2);
  for (const char* where : {"", " --in-process"}) {
    const Outcome trace =
        assay("run " + problem + "--variant fused@simt --schedule ascending --trace 0" + where);
    CHECK(contains(trace.text, "sync_threads at kernels/attnres_fwd/fused.cu:"));
    CHECK(contains(trace.text,
                   "warp 0 lanes 0xffffffff: warp_sum_each at kernels/attnres_fwd/fused.cu:"));
  }
}

TEST_CASE("the self-test of twins shows each check, its bound and the largest error") {
  const Outcome outcome = assay("selftest twins --backend simt --check 'warp/*,math/exp2*'");
  INFO(outcome.text);
  CHECK(outcome.code == 0);
  CHECK(contains(outcome.text, "warp/votes"));
  CHECK(contains(outcome.text, "on simt, bound 2.38e-07 (relative)"));
  CHECK(contains(outcome.text, "8 checks: 8 passed on simt, 0 failed"));
}

TEST_CASE("the smoke suite passes on every variant of the GPU") {
  Platform* cuda = find_platform(Backend::cuda);
  if (!cuda) ASSAY_SKIP("the cuda backend is not built");
  if (cuda->devices().empty()) ASSAY_SKIP(cuda->why_none());
  const Outcome outcome = assay("run attnres_smoke merge_smoke --backend cuda --verify-only");
  INFO(outcome.text.substr(outcome.text.size() - std::min<std::size_t>(outcome.text.size(), 2000)));
  CHECK(outcome.code == 0);
}

}  // namespace assay
