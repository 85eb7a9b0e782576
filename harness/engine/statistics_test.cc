#include "harness/engine/statistics.h"

#include <stdexcept>

#include "harness/testing.h"

namespace assay {

TEST_CASE("quantiles interpolate between neighbours") {
  CHECK(median({3, 1, 2}) == 2);
  CHECK(median({4, 1, 2, 3}) == 2.5);
  CHECK(quantile({10, 20, 30, 40, 50}, 0) == 10);
  CHECK(quantile({10, 20, 30, 40, 50}, 1) == 50);
  CHECK(quantile({10, 20, 30, 40, 50}, 0.05) == 12);
  CHECK(quantile({7}, 0.95) == 7);
  CHECK_THROWS_AS(median({}), std::invalid_argument);
}

}  // namespace assay
