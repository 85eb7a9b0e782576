#include "harness/engine/choice_table.h"

#include "harness/core/error.h"
#include "harness/core/registry.h"
#include "harness/engine/suite.h"
#include "harness/engine/sweep.h"
#include "harness/testing.h"

namespace assay {
namespace {

constexpr const char* kTable =
    "# device: NVIDIA H100\n"
    "# What `auto` runs on it, made by `assay tune`; rows may be edited and removed.\n"
    "attnres_fwd dtype=bf16 N=2 Q=1 T=1 D=7168 -> split_kv[sources=1]  # 3.1 µs; fused 3.4 µs\n"
    "attnres_fwd dtype=bf16 N=9 Q=1 T=8192 D=7168 -> fused\n";

Job job_of(const char* problem, const DeviceInfo& device) {
  Job job{parse_problem(problem), nullptr, &device};
  for (const Variant* variant : auto_variants())
    if (variant->op == job.problem.op && variant->backend == device.backend) job.variant = variant;
  return job;
}

std::string choice_of(const Job& job) { return configured_name(*job.variant, job.problem); }

DeviceInfo cpu() {
  DeviceInfo device;
  device.name = "CPU";
  return device;
}

}  // namespace

TEST_CASE("a choice table reads back from its text") {
  const ChoiceTable table = parse_choice_table(kTable, "table");
  REQUIRE(table.rows.size() == 2);
  CHECK(table.device == "NVIDIA H100");
  CHECK(table.rows[0].choice == Choice{"split_kv", {{"sources", 1}}});
  CHECK(table.rows[0].comment == "3.1 µs; fused 3.4 µs");
  CHECK(table.rows[1].choice == Choice{"fused", {}});
  CHECK(str(table) == kTable);
}

TEST_CASE("rows stay in order, and one replaces that of its problem") {
  ChoiceTable table{"CPU", {}};
  for (const char* problem : {"attnres_fwd N=9 T=64 D=8", "attnres_fwd N=9 T=1 D=8",
                              "attnres_bwd N=9 T=1 D=8", "attnres_fwd N=10 T=1 D=8"})
    table.put({parse_problem(problem), {"naive", {}}, ""});
  table.put({parse_problem("attnres_fwd N=9 T=1 D=8"), {"fused", {}}, ""});
  std::string order;
  for (const ChoiceRow& row : table.rows) order += str(row.problem) + " " + str(row.choice) + "\n";
  CHECK(order ==
        "attnres_bwd dtype=f32 N=9 Q=1 T=1 D=8 naive\n"
        "attnres_fwd dtype=f32 N=9 Q=1 T=1 D=8 fused\n"
        "attnres_fwd dtype=f32 N=9 Q=1 T=64 D=8 naive\n"
        "attnres_fwd dtype=f32 N=10 Q=1 T=1 D=8 naive\n");
}

TEST_CASE("a table with a mistake names the line") {
  const auto with = [](const char* row) {
    return parse_choice_table(std::string("# device: CPU\n") + row + "\n", "here");
  };
  CHECK_THROWS_WITH(with("attnres_fwd N=9 T=1 D=8 fused"),
                    Catch::Contains("here:2: want `PROBLEM -> VARIANT`"));
  CHECK_THROWS_WITH(with("attnres_fwd N=9 T=1 D=8 -> fused[rows"),
                    Catch::Contains("here:2: ") && Catch::Contains("no `]`"));
  CHECK_THROWS_WITH(with("attnres_fwd N=9 T=1 D=8 -> fusd"),
                    Catch::Contains("here:2: attnres_fwd has no variant `fusd`"));
  CHECK_THROWS_WITH(with("attnres_fwd N=9 M=1 D=8 -> fused"), Catch::Contains("here:2:"));
  CHECK_THROWS_WITH(with("attnres_fwd N=1:9 T=1 D=8 -> fused"),
                    Catch::Contains("here:2: want one problem"));
  CHECK_THROWS_WITH(parse_choice_table("attnres_fwd N=9 T=1 D=8 -> fused\n", "here"),
                    Catch::Contains("of which device"));
}

TEST_CASE("auto takes the nearest row whose choice can run the problem") {
  const DeviceInfo device = cpu();
  ChoiceTable table{"CPU", {}};
  table.put({parse_problem("attnres_fwd dtype=bf16 N=9 T=1 D=2048"), {"split_kv", {}}, ""});
  table.put({parse_problem("attnres_fwd dtype=bf16 N=9 T=8192 D=2048"), {"naive", {}}, ""});
  table.put({parse_problem("attnres_merge_fwd T=8 D=64"), {"fused", {}}, ""});
  CHECK(choice_of(resolve(job_of("attnres_fwd dtype=bf16 N=9 T=4 D=2048", device), table)) ==
        "split_kv");
  const Job far = resolve(job_of("attnres_fwd dtype=bf16 N=9 T=4096 D=7168", device), table);
  CHECK(choice_of(far) == "naive");
  CHECK(far.alias == "auto");
  CHECK(far.note.empty());
  // No such configuration on this backend: the next row.
  table.put(
      {parse_problem("attnres_fwd dtype=bf16 N=9 T=4 D=2048"), {"fused", {{"rows", 99}}}, ""});
  CHECK(choice_of(resolve(job_of("attnres_fwd dtype=bf16 N=9 T=4 D=2048", device), table)) ==
        "split_kv");
}

TEST_CASE("without a row auto takes a usual variant and says so") {
  const DeviceInfo device = cpu();
  const Job job = resolve(job_of("attnres_fwd N=9 T=4 D=2048", device), {"CPU", {}});
  CHECK(choice_of(job) == "fused");
  CHECK_THAT(job.note, Catch::Contains("attnres_fwd on CPU is not tuned"));
  // The first that is there.
  CHECK(choice_of(resolve(job_of("residual_add p=1 T=4 D=8", device), {"CPU", {}})) == "naive");
}

TEST_CASE("auto is run where it is asked for by name, and configurations likewise") {
  const std::vector<Problem> problems = {parse_problem("attnres_fwd dtype=bf16 N=4 T=4 D=64")};
  const auto names = [&](std::vector<std::string> globs, Backend backend) {
    Selection selection;
    selection.globs = std::move(globs);
    selection.backends = {backend};
    std::string text;
    const Plan plan = make_plan(problems, selection);
    for (const Job& job : plan.jobs) text += shown_name(job) + " ";
    return text;
  };
  CHECK_THAT(names({"*"}, Backend::cpu), !Catch::Contains("auto"));
  CHECK(names({"auto"}, Backend::cpu) == "auto@cpu ");
  CHECK(names({"fused", "attnres_fwd/auto@cpu"}, Backend::cpu) == "fused@cpu auto@cpu ");
  CHECK(names({"split_kv[*]@simt"}, Backend::simt) ==
        "split_kv[sources=4]@simt split_kv[sources=2]@simt split_kv[sources=1]@simt ");
  CHECK(
      names({"split_kv", "split_kv[sources=2]", "split_kv[sources=?]"}, Backend::simt) ==
      "split_kv@simt split_kv[sources=2]@simt split_kv[sources=4]@simt split_kv[sources=1]@simt ");
  CHECK_THROWS_WITH(names({"split_kv[sources=2"}, Backend::simt),
                    Catch::Contains("a configuration stands after the variant's name"));
  CHECK_THROWS_WITH(names({"split_kv[rows]"}, Backend::simt), Catch::Contains("is no NAME=NUMBER"));
}

TEST_CASE("a configuration that a variant does not have is a reason, with those it has") {
  const DeviceInfo device = [] {
    DeviceInfo simt;
    simt.backend = Backend::simt;
    simt.arch = 90;
    return simt;
  }();
  Job job{parse_problem("attnres_fwd dtype=bf16 N=4 T=4 D=64"),
          find_variant("attnres_fwd", "split_kv", Backend::simt), &device};
  CHECK(why_unsupported(job).empty());
  job.problem.configuration = {{"sources", 3}};
  CHECK(why_unsupported(job) ==
        "no configuration `sources=3`: for this problem it has `sources=4`, `sources=2`, "
        "`sources=1`");
  job.variant = find_variant("attnres_fwd", "naive", Backend::simt);
  CHECK(why_unsupported(job) == "no configuration `sources=3`: for this problem it has none");
}

}  // namespace assay
