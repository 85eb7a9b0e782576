#include "harness/engine/suite.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>

#include "harness/core/registry.h"
#include "harness/core/text.h"
#include "harness/testing.h"

namespace assay {
namespace {

std::string error_of(std::string_view text) {
  try {
    parse_line(text, "quick.suite", 7);
  } catch (const SyntaxError& error) {
    return error.what();
  }
  return "no error";
}

std::vector<std::int64_t> sizes_of(std::string_view line, const char* dim) {
  std::vector<std::int64_t> sizes;
  for (const Problem& problem : parse_line(line)) sizes.push_back(problem.dim(dim));
  return sizes;
}

}  // namespace

TEST_CASE("a suite line means every combination, the leftmost key slowest") {
  const auto problems = parse_line("attnres_fwd dtype=bf16,f16 N=2,3 T=1 D=8  # comment");
  REQUIRE(problems.size() == 4);
  CHECK(str(problems[0]) == "attnres_fwd dtype=bf16 N=2 Q=1 T=1 D=8");
  CHECK(str(problems[1]) == "attnres_fwd dtype=bf16 N=3 Q=1 T=1 D=8");
  CHECK(str(problems[3]) == "attnres_fwd dtype=f16 N=3 Q=1 T=1 D=8");
  CHECK(parse_line("   # nothing").empty());
}

TEST_CASE("ranges count by one, by a step and by a factor") {
  CHECK(sizes_of("attnres_fwd N=2:5 T=1 D=1", "N") == std::vector<std::int64_t>{2, 3, 4, 5});
  CHECK(sizes_of("attnres_fwd N=2:13:5 T=1 D=1", "N") == std::vector<std::int64_t>{2, 7, 12});
  CHECK(sizes_of("attnres_fwd N=1 T=1:100:*2,37 D=1", "T") ==
        std::vector<std::int64_t>{1, 2, 4, 8, 16, 32, 64, 37});
}

TEST_CASE("the text of a problem is canonical and reads back as the same problem") {
  const char* canonical[] = {
      "attnres_fwd dtype=f32 N=1 Q=1 T=1 D=1",
      "attnres_fwd dtype=bf16 w=f32 N=10 Q=6 T=8192 D=2304",
      "attnres_fwd dtype=bf16 w=f32 g=1 o=f32 lse=bf16 N=10 Q=6 T=8192 D=2304 eps=0.001",
      "attnres_fwd dtype=f16 g=bf16 N=3 Q=1 T=9223372036854775 D=1 eps=1e-05",
  };
  for (const std::string text : canonical) {
    INFO(text);
    CHECK(str(parse_problem(text)) == text);
    CHECK(parse_problem(str(parse_problem(text))) == parse_problem(text));
  }
  // What equals the default is left out, in whatever order it was written.
  CHECK(str(parse_problem("attnres_fwd D=8 eps=1e-06 T=2 w=bf16 g=0 N=1 dtype=bf16")) ==
        "attnres_fwd dtype=bf16 N=1 Q=1 T=2 D=8");
  CHECK(str(parse_problem("attnres_fwd N=1 T=1 D=1 g=f32")) ==
        "attnres_fwd dtype=f32 g=1 N=1 Q=1 T=1 D=1");
}

TEST_CASE("a problem may name the family of its inputs") {
  const std::string text = "attnres_fwd dtype=f32 N=1 Q=1 T=1 D=1 eps=0.001 family=spread";
  CHECK(parse_problem(text).family == "spread");
  CHECK(str(parse_problem(text)) == text);
  CHECK(parse_problem(str(parse_problem(text))) == parse_problem(text));
  CHECK(parse_problem("attnres_fwd N=1 T=1 D=1").family.empty());
  const auto problems = parse_line("attnres_fwd family=spread,gaussian N=1,2 T=1 D=1");
  REQUIRE(problems.size() == 4);
  CHECK(str(problems[1]) == "attnres_fwd dtype=f32 N=2 Q=1 T=1 D=1 family=spread");
  CHECK(problems[2].family == "gaussian");
  CHECK(error_of("attnres_fwd N=1 T=1 D=1 family=spred")
            .find(":7:32: attnres_fwd has no family of inputs `spred`, did you mean `spread`?, "
                  "one of: gaussian, spread") != std::string::npos);
  CHECK(error_of("attnres_fwd N=1 T=1 D=1 family=,spread").find("a value of family is missing") !=
        std::string::npos);
}

TEST_CASE("a mistake is shown with file, line, column and a caret under it") {
  CHECK(error_of("attnres_fwd N=1 M=4 T=1 D=1") ==
        "quick.suite:7:17: attnres_fwd has no dim, tensor or option `M`, one of: dtype, N, Q, T, "
        "D, v, w, g, o, lse, eps, family\n"
        "  attnres_fwd N=1 M=4 T=1 D=1\n"
        "                  ^");
  struct Mistake {
    const char* line;
    const char* says;
  };
  const Mistake mistakes[] = {
      {"attnres_fw N=1 T=1 D=1",
       "quick.suite:7:1: unknown op `attnres_fw`, did you mean `attnres_fwd`?"},
      {"attnres_fwd dtype=bf61 N=1 T=1 D=1", ":19: unknown dtype `bf61`, did you mean `bf16`?"},
      {"attnres_fwd N=1 T=1 D=1 epss=1",
       ":25: attnres_fwd has no dim, tensor or option `epss`, did you mean `eps`?"},
      {"attnres_fwd N=1 T=0 D=1", ":19: T=0: a dim is at least 1"},
      {"attnres_fwd N=1 T=-3 D=1", "T=-3: a dim is at least 1"},
      {"attnres_fwd N=1 T=1 D=99999999999999999999",
       "D=99999999999999999999 does not fit in 64 bits"},
      {"attnres_fwd N=4 T=3000000000 D=3000000000", "more bytes than 64 bits can count"},
      {"attnres_fwd N=1,,2 T=1 D=1", ":17: a value of N is missing here"},
      {"attnres_fwd N= T=1 D=1", ":15: a value of N is missing here"},
      {"attnres_fwd N=5:2 T=1 D=1", ":17: the range ends before it begins"},
      {"attnres_fwd N=1:9:*1 T=1 D=1", ":20: a factor is at least 2"},
      {"attnres_fwd N=1:9:2:3 T=1 D=1", "a range is first:last"},
      {"attnres_fwd N=1 N=2 T=1 D=1", ":17: N is given twice"},
      {"attnres_fwd N=1 T=1", ":20: attnres_fwd needs the dim D"},
      {"attnres_fwd N=1 T=1 D", ":21: `D` is not of the form key=value"},
      {"attnres_fwd N=1 T=1 D=1 eps=-1", ":29: eps=-1: eps is a number from 0"},
      {"attnres_fwd N=1 T=1 D=1 eps=nan", "eps=nan"},
      {"attnres_fwd N=1 T=1 D=1 v=1", ":27: unknown dtype `1`"},
  };
  for (const Mistake& mistake : mistakes) {
    INFO(mistake.line);
    const std::string message = error_of(mistake.line);
    INFO(message);
    CHECK(message.find(mistake.says) != std::string::npos);
  }
}

TEST_CASE("suites include others, say what is wrong in them, and never loop") {
  const std::filesystem::path folder = std::filesystem::temp_directory_path() / "assay_suite_test";
  std::filesystem::create_directories(folder);
  const auto write = [&](const char* name, const char* text) {
    std::ofstream(folder / name) << text;
  };
  write("one.suite",
        "# the first\nattnres_fwd N=1 T=1 D=8\ninclude two\nattnres_fwd N=2 T=1 D=8\n");
  write("two.suite", "attnres_fwd N=2:3 T=1 D=8\n");
  write("loop.suite", "include loop\n");
  write("bad.suite", "\nattnres_fwd N=1 T=1 X=8\n");
  const SuitePath path{{folder}};
  CHECK(load_suite(path.find("one"), path).size() ==
        3);  // N=2 appears twice, and once in the result
  CHECK(suite_summary(path.find("one")) == "the first");
  CHECK_THROWS_AS(load_suite(path.find("loop"), path), SyntaxError);
  try {
    load_suite(path.find("bad"), path);
    FAIL("no error");
  } catch (const SyntaxError& error) {
    CHECK(std::string(error.what()).find("bad.suite:2:21: ") != std::string::npos);
  }
  try {
    path.find("tow");
    FAIL("no error");
  } catch (const UsageError& error) {
    CHECK(std::string(error.what()) == "unknown suite `tow`, did you mean `two`?");
  }
  std::filesystem::remove_all(folder);
}

TEST_CASE("the suites of this repository hold what they are named for") {
  const SuitePath path{{std::filesystem::path(ASSAY_SOURCE_DIR) / "suites"}};
  const auto load = [&](const char* name) { return load_suite(path.find(name), path); };
  CHECK(load("kimi_48b").size() == 10);
  CHECK(load("large").size() == 1);
  CHECK(load("liger").size() == 8);
  CHECK(load("flash_attn_res").size() == 7);
  CHECK(load("decode").size() == 8);
  std::set<std::int64_t> n, t, d;
  for (const Problem& problem : load("attnres_smoke")) {
    n.insert(problem.dim("N"));
    t.insert(problem.dim("T"));
    d.insert(problem.dim("D"));
  }
  for (const std::int64_t size : {1, 2, 31, 33, 64}) CHECK(n.count(size) == 1);
  for (const std::int64_t size : {1, 37}) CHECK(t.count(size) == 1);
  for (const std::int64_t size : {1, 8, 123, 1000, 2304}) CHECK(d.count(size) == 1);
}

TEST_CASE("no two keys of an op are the same word") {
  REQUIRE(!ops().empty());
  for (const Op* op : ops()) {
    std::set<std::string> keys = {"dtype"};
    const auto add = [&](const std::string& key) {
      INFO(op->name << ": " << key);
      CHECK(keys.insert(key).second);
    };
    for (const auto& dim : op->dims) add(dim.name);
    for (const auto& option : op->options) add(option.name);
    for (const auto& tensor : op->tensors) {
      add(lower(tensor.name));
    }
  }
}

}  // namespace assay
