#include "harness/engine/rotation.h"

#include "harness/testing.h"

namespace assay {

TEST_CASE("enough buffer sets are rotated to leave the cache") {
  constexpr std::int64_t kMiB = 1 << 20;
  CHECK(rotation_sets(1 * kMiB, 50 * kMiB, 1000 * kMiB) == 150);
  CHECK(rotation_sets(100 * kMiB, 50 * kMiB, 1000 * kMiB) == 2);
  CHECK(rotation_sets(700 * kMiB, 50 * kMiB, 10000 * kMiB) == 2);
  CHECK(rotation_sets(700 * kMiB, 50 * kMiB, 1000 * kMiB) == 1);
  CHECK(rotation_sets(1, 50 * kMiB, 1000 * kMiB) == 4096);
}

}  // namespace assay
