// Inputs go out, outputs of others come back and are judged: the round trip through files.
#include <fstream>
#include <limits>
#include <sstream>
#include <vector>

#include "harness/core/host.h"
#include "harness/core/registry.h"
#include "harness/engine/exchange.h"
#include "harness/engine/npy.h"
#include "harness/engine/suite.h"
#include "harness/testing.h"
#include "harness/testing_program.h"

namespace assay {
namespace {

constexpr const char* kProblem = "attnres_fwd dtype=bf16 N=3 Q=1 T=37 D=8";

// What a peer would write that is right to the last bit: the reference, rounded. `wrong`: the
// element of O that is twice as large.
void write_outputs(const std::filesystem::path& folder, const std::string& family,
                   std::int64_t wrong = -1) {
  const Problem problem = parse_problem(kProblem);
  Oracle oracle(available_memory());
  const auto expected = oracle.expected(problem, family, 1, {.summation_height = 16});
  for (const TensorSpec& spec : tensor_specs(op_of(problem), problem)) {
    if (spec.role == Role::in) continue;
    for (const Expected& want : *expected) {
      if (want.output != spec.name) continue;
      dispatch(spec.dtype, [&](auto type) {
        using T = typename decltype(type)::type;
        std::vector<T> values;
        for (std::int64_t i = 0; i < want.size; ++i) {
          const bool is_wrong = spec.name == "O" && i == wrong;
          values.push_back(
              round_to<T>(want.value[static_cast<std::size_t>(i)] * (is_wrong ? 2 : 1)));
        }
        write_npy(folder / output_file(spec), spec, values.data());
      });
    }
  }
}

std::string quoted(const std::filesystem::path& path) { return "'" + path.string() + "' "; }

Outcome export_to(const std::filesystem::path& folder, const std::string& family) {
  return assay("export '" + std::string(kProblem) + "' --family " + family + " --to " +
               quoted(folder));
}

std::string text_of(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

}  // namespace

TEST_CASE("outputs that somebody else computed are judged like ours", "[verify-file]") {
  const Folder folder;
  const auto gaussian = folder / "gaussian", spread = folder / "spread";
  REQUIRE(export_to(gaussian, "gaussian").code == 0);
  REQUIRE(export_to(spread, "spread").code == 0);
  CHECK(contains(text_of(gaussian / "manifest.json"), R"("output": "O.npy")"));
  const std::string judge = "verify-file " + quoted(gaussian) + quoted(spread) +
                            "--variant theirs --numerics height=16 --out " +
                            quoted(folder / "out.jsonl");

  write_outputs(gaussian, "gaussian");
  write_outputs(spread, "spread");
  const Outcome right = assay(judge);
  INFO(right.text);
  CHECK(right.code == 0);
  CHECK(contains(right.text, "passed theirs@cpu " + std::string(kProblem) +
                                 ", declared: f32 accumulation, height 16"));
  CHECK(contains(right.text, "passed: LSE, 37 elements, error/bound 0.000 (family spread, seed 1"));
  CHECK(contains(assay("report " + quoted(folder / "out.jsonl")).text, "theirs@cpu  passed"));

  // t = 12, d = 5.
  write_outputs(spread, "spread", 12 * 8 + 5);
  const Outcome wrong = assay(judge);
  INFO(wrong.text);
  CHECK(wrong.code == 1);
  CHECK(contains(wrong.text, "failed: O[q=0, t=12, d=5] = "));
  CHECK(contains(wrong.text, "1 of 296 elements wrong"));
  CHECK(contains(wrong.text, "(family spread, seed 1, check interval)"));
  const std::string records = text_of(folder / "out.jsonl");
  CHECK(contains(records, R"("status":"failed","reason":"O[q=0, t=12, d=5])"));
  CHECK(contains(records, R"("worst":{"index":[0,12,5])"));
  CHECK_FALSE(contains(records, folder.operator/("").string()));
}

TEST_CASE("a peer is judged on the outputs that it has", "[verify-file]") {
  const Folder folder;
  REQUIRE(export_to(folder / "a", "gaussian").code == 0);
  write_outputs(folder / "a", "gaussian");
  std::filesystem::remove(folder / "a" / "LSE.npy");
  const Outcome outcome = assay("verify-file " + quoted(folder / "a") + "--variant theirs --out " +
                                quoted(folder / "out.jsonl"));
  INFO(outcome.text);
  CHECK(outcome.code == 0);
  CHECK(contains(outcome.text, "not judged: theirs has no LSE"));
  CHECK(contains(
      text_of(folder / "out.jsonl"),
      R"({"kind":"missing","family":"","seed":0,"output":"LSE","status":"passed","reason":"theirs has no LSE")"));
  // What an earlier run has left does not pass for an output.
  REQUIRE(export_to(folder / "a", "gaussian").code == 0);
  const Outcome none = assay("verify-file " + quoted(folder / "a") + "--variant theirs");
  CHECK(none.code == 2);
  CHECK(contains(none.text, "write at least one of O.npy, LSE.npy there"));
}

TEST_CASE("an export that is not as it should be is refused, with the way out", "[verify-file]") {
  const Folder folder;
  const auto path = folder / "a";
  const std::string judge = "verify-file " + quoted(path) + "--variant theirs";
  CHECK(contains(assay(judge).text, "`assay export 'PROBLEM' --to "));
  REQUIRE(export_to(path, "gaussian").code == 0);
  write_outputs(path, "gaussian");
  const std::string manifest = text_of(path / "manifest.json");
  const auto says = [&](const std::string& from, const std::string& to) {
    std::string text = manifest;
    REQUIRE(contains(text, from));
    text.replace(text.find(from), from.size(), to);
    std::ofstream(path / "manifest.json") << text;
    const Outcome outcome = assay(judge);
    CHECK(outcome.code == 2);
    return outcome.text;
  };
  CHECK(contains(says("attnres_fwd ", "attnres_fw "), "did you mean `attnres_fwd`?"));
  CHECK(contains(says("\"problem\"", "\"prblem\""), "it is not as `assay export` writes it"));
  CHECK(contains(says("\"schema\": 1", "\"schema\": 2"), "its schema is 2, this program reads 1"));
  CHECK(contains(says("\"gaussian\"", "\"gausian\""), "no family `gausian`, did you mean"));
  CHECK(contains(says("\"seed\": 1", "\"seed\": 2"), "export them again"));
  CHECK(contains(says(manifest, "{"), "it is not as `assay export` writes it"));
  std::ofstream(path / "manifest.json") << manifest;
  REQUIRE(assay(judge).code == 0);

  const TensorSpec other{"O", Role::out, DType::f32, {37, 8}, {8, 1}};
  const std::vector<float> values(std::size_t{37} * 8);
  write_npy(path / "O.npy", other, values.data());
  CHECK(contains(assay(judge).text, "O.npy has the shape (37,8,), want (1,37,8,)"));
  std::filesystem::resize_file(path / "LSE.npy", 200);
  write_outputs(folder / "a", "gaussian");
  std::filesystem::resize_file(path / "LSE.npy", 200);
  CHECK(contains(assay(judge).text, "LSE.npy is cut off"));
  CHECK(contains(assay(judge + " --numerics heigth=3").text, "did you mean `height`?"));
}

TEST_CASE("mistakes in an export are usage errors", "[verify-file]") {
  const Folder folder;
  const std::string to = " --to " + quoted(folder / "a");
  const auto says = [&](const std::string& arguments, const std::string& text) {
    const Outcome outcome = assay("export " + arguments + to);
    INFO(outcome.text);
    CHECK(outcome.code == 2);
    CHECK(contains(outcome.text, text));
  };
  says("'attnres_fw N=1 T=1 D=1'", "did you mean `attnres_fwd`?");
  says("'attnres_fwd N=1,2 T=1 D=1'", "");
  says("'attnres_fwd N=3 T=2 D=8' --family sprad", "did you mean `spread`?");
  says("'attnres_fwd N=3 T=2 D=8 family=zeros' --family spread", "--family spread contradicts");
  says("'attnres_fwd N=3 T=2 D=8' --limit simt", "backend simt is never timed");
}

TEST_CASE("the problems of suites are listed as canonical text, one a line", "[verify-file]") {
  const Outcome outcome =
      assay("list problems 'attnres_fwd N=2:4 T=1 D=8' 'attnres_fwd D=8 N=2 T=1'");
  CHECK(outcome.code == 0);
  CHECK(outcome.text ==
        "attnres_fwd dtype=f32 N=2 Q=1 T=1 D=8\nattnres_fwd dtype=f32 N=3 Q=1 T=1 D=8\n"
        "attnres_fwd dtype=f32 N=4 Q=1 T=1 D=8\n");
  CHECK(assay("list problems").code == 2);
}

namespace {

// The problem on which programs for this one are judged, as its manifest says; exported there.
std::string export_network(const std::string& problem, const std::filesystem::path& to) {
  REQUIRE(assay("export '" + problem + "' --family grown --to " + quoted(to)).code == 0);
  const std::string manifest = text_of(to / "manifest.json"), key = "\"judged_as\": \"";
  REQUIRE(contains(manifest, key));
  const std::size_t begin = manifest.find(key) + key.size();
  return manifest.substr(begin, manifest.find('"', begin) - begin);
}

// The definition, rounded once; element `wrong` of O becomes `value`.
void write_network(const std::filesystem::path& folder, const std::string& text,
                   std::int64_t wrong = -1, float value = 0) {
  const Problem problem = parse_problem(text);
  Oracle oracle(available_memory());
  for (const Expected& want : *oracle.expected(problem, "grown", 1, {})) {
    for (const TensorSpec& spec : tensor_specs(op_of(problem), problem)) {
      if (spec.name != want.output) continue;
      std::vector<bf16> values;
      for (std::int64_t i = 0; i < want.size; ++i)
        values.push_back(round_to<bf16>(i == wrong ? static_cast<double>(value)
                                                   : want.value[static_cast<std::size_t>(i)]));
      write_npy(folder / output_file(spec), spec, values.data());
    }
  }
}

}  // namespace

TEST_CASE("outputs of a whole network are judged on a short one", "[verify-file]") {
  const Folder folder;
  const std::filesystem::path to = folder / "network";
  const std::string judge =
      "verify-file " + quoted(to) + "--variant theirs --out " + quoted(folder / "out.jsonl");
  const std::string judged =
      export_network("block_attnres_fwd dtype=bf16 g=1 y=1 L=5 S=3 T=9 D=80", to);
  CHECK(judged == "block_attnres_fwd dtype=bf16 g=1 y=1 L=5 S=3 T=4 D=64");
  const Outcome large = assay(judge);
  CHECK(large.code == 2);
  CHECK(contains(large.text, "Export `" + judged + "` and let the same program compute that"));
  CHECK(export_network(judged, to) == judged);

  write_network(to, judged);
  const Outcome right = assay(judge);
  INFO(right.text);
  CHECK(right.code == 0);
  CHECK(contains(right.text, "passed theirs@cpu " + judged + ", declared: nothing"));
  CHECK(contains(right.text, "passed: O, error 0.00"));
  CHECK(contains(right.text, "(family grown, seed 1, check schedule)"));
  CHECK(contains(text_of(folder / "out.jsonl"), R"("numerics":"nothing")"));

  // t = 2, d = 17.
  for (const float value : {9999.f, std::numeric_limits<float>::quiet_NaN()}) {
    write_network(to, judged, 2 * 64 + 17, value);
    const Outcome wrong = assay(judge);
    INFO(wrong.text);
    CHECK(wrong.code == 1);
    CHECK(contains(wrong.text, "failed: O[t=2, d=17] = "));
    CHECK(contains(wrong.text, "1 of 4 rows wrong"));
    CHECK(contains(text_of(folder / "out.jsonl"), R"("worst":{"index":[2,17])"));
  }
  // What says how single elements are judged.
  CHECK(contains(assay(judge + " --numerics height=8").text, "it declares no --numerics"));
  CHECK(contains(assay(judge + " --check after_timing").text, "it has no --check after_timing"));
  // Other ops are judged as they are.
  REQUIRE(export_to(to, "gaussian").code == 0);
  CHECK_FALSE(contains(text_of(to / "manifest.json"), "judged_as"));
}

TEST_CASE("a gradient of a network that is missing is not judged", "[verify-file]") {
  const Folder folder;
  const std::filesystem::path to = folder / "network";
  const std::string text = "block_attnres_bwd dtype=bf16 g=1 y=1 L=3 S=2 T=2 D=8";
  REQUIRE(export_network(text, to) == text);
  const std::string judge = "verify-file " + quoted(to) + "--variant theirs";
  CHECK(contains(assay(judge).text, "write at least one of dX.npy, dw.npy, dg.npy"));
  const TensorSpec spec{"dX", Role::out, DType::bf16, {2, 8}, {8, 1}};
  const std::vector<bf16> zeros(std::size_t{2} * 8);
  write_npy(to / "dX.npy", spec, zeros.data());
  const Outcome outcome = assay(judge);
  INFO(outcome.text);
  CHECK(outcome.code == 1);
  CHECK(contains(outcome.text, "failed: dX[t="));
  CHECK(contains(outcome.text, "not judged: theirs has no dw_out"));
}

}  // namespace assay
