// The checks of this folder, on every backend that is here; and that no wrapper is without one.
#include "harness/engine/twins.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <set>
#include <sstream>
#include <string>

#include "harness/backend/backend.h"
#include "harness/testing.h"

namespace assay {
namespace {

using TwinStatus = TwinResult::Status;

const std::filesystem::path kKernels = std::filesystem::path(ASSAY_SOURCE_DIR) / "kernels";

std::string read(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

// The ASSAY_DEVICE functions of a header that exist in both twins; what only one of them has is a
// part of it.
std::set<std::string> wrappers_of(const std::string& text) {
  enum { kBoth = 0, kSimt = 1, kCuda = 2 };
  std::vector<int> conditions;  // #if ... of the line
  std::set<std::string> found[2];
  const std::regex function(R"(^\s*ASSAY_DEVICE\b[^(]*?(\w+)(<\w+>)?\()");
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind("#if", 0) == 0) {
      conditions.push_back(line == "#if ASSAY_SIMT"    ? kSimt
                           : line == "#if !ASSAY_SIMT" ? kCuda
                                                       : kBoth);
    } else if (line.rfind("#else", 0) == 0 && conditions.back() != kBoth) {
      conditions.back() = kSimt + kCuda - conditions.back();
    } else if (line.rfind("#endif", 0) == 0) {
      conditions.pop_back();
    }
    std::smatch match;
    if (!std::regex_search(line, match, function)) continue;
    const auto has = [&](int twin) {
      return std::all_of(conditions.begin(), conditions.end(),
                         [&](int condition) { return condition == kBoth || condition == twin; });
    };
    if (has(kSimt)) found[0].insert(match[1]);
    if (has(kCuda)) found[1].insert(match[1]);
  }
  std::set<std::string> both;
  std::set_intersection(found[0].begin(), found[0].end(), found[1].begin(), found[1].end(),
                        std::inserter(both, both.end()));
  return both;
}

std::set<std::string> all_wrappers() {
  std::set<std::string> names;
  // What walks over rows is made of wrappers, and has no twin of its own.
  const std::set<std::string> composed = {"rows.h", "slice.h"};
  for (const auto& file : std::filesystem::directory_iterator(kKernels / "device")) {
    if (composed.contains(file.path().filename().string())) continue;
    names.merge(wrappers_of(read(file.path())));
  }
  return names;
}

std::set<std::string> covered(Backend backend) {
  std::set<std::string> names;
  for (const TwinCheck* check : twin_checks()) {
    if (check->backend == backend) names.insert(check->covers.begin(), check->covers.end());
  }
  return names;
}

void run_all(Platform& platform) {
  const std::unique_ptr<Device> device = platform.open(0);
  int ran = 0;
  for (const TwinCheck* check : twin_checks()) {
    if (check->backend != platform.backend()) continue;
    const TwinResult result = run_twin_check(*check, *device);
    INFO(check->name << ": " << result.text);
    CHECK(result.status != TwinStatus::failed);
    if (result.status == TwinStatus::passed) ++ran;
  }
  for (const TwinRefusal* refusal : twin_refusals()) {
    if (refusal->backend != platform.backend()) continue;
    const TwinResult result = run_twin_refusal(*refusal, *device);
    INFO(refusal->name << ": " << result.text);
    CHECK(result.status != TwinStatus::failed);
    if (result.status == TwinStatus::passed) ++ran;
  }
  CHECK(ran >= 30);
}

}  // namespace

TEST_CASE("wrappers are found where both twins have them") {
  CHECK(wrappers_of("template <class T>\nASSAY_DEVICE const T* one(int x) {\n"
                    "#if ASSAY_SIMT\nASSAY_DEVICE int two() {\n"
                    "ASSAY_DEVICE void three() {\n#else\n  ASSAY_DEVICE int two() {\n#endif\n"
                    "#if !ASSAY_SIMT\nASSAY_DEVICE int four() {\n#endif\n"
                    "ASSAY_DEVICE float five<float>(float x) {") ==
        std::set<std::string>{"one", "two", "five"});
}

TEST_CASE("every wrapper of kernels/device is covered by a check that calls it") {
  const std::set<std::string> wrappers = all_wrappers();
  REQUIRE(wrappers.size() >= 50);
  std::string sources;
  for (const auto& file : std::filesystem::directory_iterator(kKernels / "selftest")) {
    if (file.path().extension() == ".cu") sources += read(file.path());
  }
  const std::set<std::string> names = covered(Backend::simt);
  for (const std::string& wrapper : wrappers) {
    INFO(wrapper);
    CHECK(names.count(wrapper) == 1);
    CHECK(std::regex_search(sources, std::regex("\\b" + wrapper + "(<[^<>;]*>)?\\(")));
  }
  for (const std::string& name : names) {
    INFO(name << " is covered and does not exist");
    CHECK(wrappers.count(name) == 1);
  }
}

TEST_CASE("both twins have the same checks") {
  if (!find_platform(Backend::cuda)) ASSAY_SKIP("the cuda backend is not built");
  const auto names = [](Backend backend) {
    std::vector<std::string> list;
    for (const TwinCheck* check : twin_checks()) {
      if (check->backend == backend) list.push_back(check->name);
    }
    for (const TwinRefusal* refusal : twin_refusals()) {
      if (refusal->backend == backend) list.push_back(refusal->name);
    }
    return list;
  };
  CHECK(names(Backend::simt) == names(Backend::cuda));
}

TEST_CASE("every instruction does on simt what its definition says, under every schedule") {
  run_all(*find_platform(Backend::simt));
}

TEST_CASE("every instruction does on cuda what its definition says") {
  Platform* cuda = find_platform(Backend::cuda);
  if (!cuda) ASSAY_SKIP("the cuda backend is not built");
  if (cuda->devices().empty()) ASSAY_SKIP(cuda->why_none());
  run_all(*cuda);
}

TEST_CASE("a word that is wrong, missing or beside the output fails a check") {
  const std::unique_ptr<Device> device = find_platform(Backend::simt)->open(0);
  TwinCheck check;
  check.name = "test";
  check.inputs = 4;
  check.outputs = 2;
  check.bound = 0.5;
  check.expect = [](const Words& in, Expectation& want) {
    want.bits(0, in[0]);
    want.number(1, 8, 2);
  };
  float second = 8;
  int moved = 0;
  // On simt the device's memory is the host's.
  check.launch = [&](const std::uint32_t* in, std::uint32_t* out, Stream) {
    out[0] = in[0];
    std::memcpy(out + 1 + moved, &second, sizeof second);
  };
  const auto status = [&] { return run_twin_check(check, *device).status; };
  CHECK(status() == TwinStatus::passed);
  second = 9;
  CHECK(status() == TwinStatus::passed);
  CHECK(run_twin_check(check, *device).error == 0.5);
  for (const float wrong : {9.1f, 6.9f, std::nanf(""), INFINITY}) {
    second = wrong;
    CHECK(status() == TwinStatus::failed);
  }
  second = 8;
  moved = 1;
  CHECK(run_twin_check(check, *device).text.find("beside the output") != std::string::npos);
  moved = 0;
  check.outputs = 3;
  CHECK(run_twin_check(check, *device).text.find("expects nothing") != std::string::npos);
  check.outputs = 2;
  check.arch.min = 91;
  CHECK(status() == TwinStatus::unsupported);
}

TEST_CASE("the difference of two twins is counted in words, ulp and the unit of the bound") {
  TwinCheck check;
  check.name = "test";
  check.outputs = 4;
  check.expect = [](const Words&, Expectation& want) {
    want.bits(0, 7);
    want.number(1, 1, 0.5);
    want.number(2, std::nan(""));
    want.number(3, 0);
  };
  const Words a = {7, 0x3f800000u, 0x7fc00000u, 0};
  const Words b = {8, 0x3fc00000u, 0xffffffffu, 0x80000001u};
  CHECK(compare_twins(check, a, a).words == 0);
  const TwinDifference difference = compare_twins(check, a, b);
  CHECK(difference.words == 3);
  CHECK(difference.ulps == 0x400000u);
  CHECK(difference.error == 1);
}

}  // namespace assay
