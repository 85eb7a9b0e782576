#include "harness/engine/oracle.h"

#include "harness/core/fingerprint.h"
#include "harness/core/registry.h"
#include "harness/engine/suite.h"
#include "harness/testing.h"
#include "harness/testing_judging_device.h"

namespace assay {
namespace {

TEST_CASE("the oracle keeps what it has made, for one problem") {
  constexpr std::int64_t kPlenty = std::int64_t{1} << 30;
  Oracle oracle(kPlenty);
  const Problem one = parse_problem("attnres_fwd N=3 T=4 D=64"),
                other = parse_problem("attnres_fwd N=2 T=4 D=64");
  oracle.turn_to(one);
  const auto inputs = oracle.inputs(one, "gaussian", 1);
  const auto expected = oracle.expected(one, "gaussian", 1, {});
  const std::int64_t held = oracle.held_bytes();
  CHECK(held > 0);

  SECTION("which is asked for again") {
    oracle.turn_to(one);
    CHECK(oracle.inputs(one, "gaussian", 1) == inputs);
    CHECK(oracle.expected(one, "gaussian", 1, {}) == expected);
    CHECK(oracle.held_bytes() == held);
  }
  SECTION("and gives it up for the next") {
    oracle.turn_to(other);
    CHECK(oracle.held_bytes() == 0);
    oracle.turn_to(one);
    CHECK(oracle.inputs(one, "gaussian", 1) != inputs);
  }
}

TEST_CASE("the oracle keeps references on a device that judges, while there is room") {
  struct Small final : JudgingDevice {
    DeviceInfo small = JudgingDevice::info();
    const DeviceInfo& info() const override { return small; }
  } device;
  Oracle oracle(std::int64_t{1} << 30);
  const Problem problem = parse_problem("attnres_fwd N=3 T=4 D=64");
  const std::int64_t bytes = 16 * std::int64_t{4 * 64 + 4};
  CHECK(Oracle::bytes_there(op_of(problem), problem) == bytes);
  device.small.memory_bytes = 4 * (2 * bytes);  // for two
  const auto there = [&](const char* family) {
    return oracle.expected_there(device, problem, family, 1, {}).get();
  };
  const DeviceReference* const gaussian = there("gaussian");
  REQUIRE(gaussian);
  CHECK(there("spread") != gaussian);
  CHECK(there("gaussian") == gaussian);
  CHECK(device.references.size() == 2);
  there("tiny");  // instead of the one that was used longest ago
  CHECK(there("gaussian") == gaussian);
  CHECK(device.references.size() == 3);
  there("spread");
  CHECK(device.references.size() == 4);

  // Neither side computes what the other has.
  const auto on_host = oracle.expected(problem, "spread", 1, {});
  oracle.turn_to(parse_problem("attnres_fwd N=2 T=4 D=64"));
  const auto computed = oracle.expected(problem, "spread", 1, {});
  CHECK(on_host != computed);
  CHECK(fingerprint((*on_host)[0].bound.get(), 2048) ==
        fingerprint((*computed)[0].bound.get(), 2048));
  const auto uploaded = oracle.expected_there(device, problem, "spread", 1, {});
  CHECK(uploaded->at("O", 77).bound == (*computed)[0].bound[77]);

  device.small.memory_bytes = 4 * bytes - 1;
  CHECK(oracle.expected_there(device, problem, "spike", 1, {}) == nullptr);
}

}  // namespace
}  // namespace assay
