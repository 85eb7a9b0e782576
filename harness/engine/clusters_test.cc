#include "harness/engine/clusters.h"

#include "harness/testing.h"

namespace assay {
namespace {

const TensorSpec kOutput{"O", Role::out, DType::f32, {3, 37, 264}, {37L * 264, 264, 1}};

template <class F>
std::string where(const F& is_wrong) {
  std::vector<std::int64_t> wrong;
  for (std::int64_t i = 0; i < kOutput.elements(); ++i)
    if (is_wrong(i / (37L * 264), i / 264 % 37, i % 264)) wrong.push_back(i);
  return describe_clusters(kOutput, {"q", "t", "d"}, wrong);
}

}  // namespace

TEST_CASE("wrong elements are described by what they have in common") {
  CHECK(where([](auto, auto, auto) { return false; }).empty());
  CHECK(where([](auto, auto, auto) { return true; }) == "spread over the whole output");
  CHECK(where([](auto, auto t, auto) { return t == 36; }) == "all at t = 36, the last");
  CHECK(where([](auto q, auto, auto d) { return q == 1 && d >= 256; }) ==
        "all at q = 1; d from 256 on, the tail beyond a multiple of 256");
  CHECK(where([](auto, auto t, auto) { return t >= 32; }) ==
        "t from 32 on, the tail beyond a multiple of 32");
  CHECK(where([](auto, auto, auto d) { return d % 8 == 3; }) == "d = 3 modulo 8");
  CHECK(where([](auto, auto, auto d) { return d >= 64 && d < 128; }) ==
        "d from 64 to 127, in the tile 1 of 64");
  CHECK(where([](auto, auto t, auto) { return t < 5; }) == "t up to 4");
  CHECK(where([](auto, auto, auto d) { return d == 3 || d == 17 || d == 100; }) ==
        "3 of 264 values of d, 3 to 100");
}

}  // namespace assay
