#include "harness/engine/statistics.h"

#include <cmath>
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

TEST_CASE("the standard error of the median falls with the root of the number of samples") {
  const auto uniform = [](int n) {
    std::vector<double> samples;
    for (int i = 0; i < n; ++i) samples.push_back((i + 0.5) / n);
    return samples;
  };
  // 1 / (2 f √n), with density f = 1.
  CHECK(std::abs(standard_error_of_median(uniform(100)) - 0.05) < 0.002);
  CHECK(std::abs(standard_error_of_median(uniform(10'000)) - 0.005) < 0.0002);
  CHECK(standard_error_of_median({3, 3, 3, 3}) == 0);
  CHECK(standard_error_of_median({1, 2, 3}) > 0);
  CHECK(std::isinf(standard_error_of_median({1, 2})));
}

TEST_CASE("the bootstrap interval of the median is that of very many resamples") {
  // Of 5 samples: P(median of a resample <= x_1) = P(binomial(5, 1/5) >= 3) = 0.058.
  CHECK(bootstrap_median({1, 2, 3, 4, 5}, 0.95) == std::pair(1.0, 5.0));
  CHECK(bootstrap_median({1, 2, 3, 4, 5}, 0.88) == std::pair(2.0, 4.0));
  CHECK(bootstrap_median({7}, 0.95) == std::pair(7.0, 7.0));
  std::vector<double> samples;
  for (int i = 1; i <= 1001; ++i) samples.push_back(i);
  const auto [low, high] = bootstrap_median(samples);
  // 501 ± 1.96 · √1001 / 2
  CHECK(std::abs(low - 470) <= 2);
  CHECK(std::abs(high - 532) <= 2);
}

}  // namespace assay
