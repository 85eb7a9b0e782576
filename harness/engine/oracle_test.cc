#include "harness/engine/oracle.h"

#include "harness/engine/suite.h"
#include "harness/testing.h"

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

}  // namespace
}  // namespace assay
