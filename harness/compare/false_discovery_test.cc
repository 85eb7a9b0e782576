// Benjamini and Hochberg's procedure on their own example, and the normal distribution.
#include "harness/compare/false_discovery.h"

#include <cmath>
#include <random>
#include <stdexcept>

#include "harness/testing.h"

namespace assay {

TEST_CASE("the step-up procedure on the example of Benjamini and Hochberg 1995") {
  const std::vector<double> p = {0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344,
                                 0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0000};
  CHECK(discovery_limit(p, 0.05) == 0.0095);  // the first four
  CHECK(discovery_limit({0.9, 0.2}, 0.05) == -1);
  CHECK(discovery_limit({}, 0.05) == -1);
  // A p above its own step is a finding if a later one is below its step.
  CHECK(discovery_limit({0.03, 0.04}, 0.05) == 0.04);
  CHECK(discovery_limit({std::nan(""), 0.04}, 0.05) == 0.04);
  CHECK(discovery_limit({0, 1}, 0) == 0);
}

TEST_CASE("with no change at all, a file has findings as often as the rate says") {
  std::mt19937_64 random(3);
  std::uniform_real_distribution<double> uniform;
  int files = 0;
  constexpr int kFiles = 5000;
  for (int file = 0; file < kFiles; ++file) {
    std::vector<double> p(100);
    for (double& each : p) each = uniform(random);
    files += discovery_limit(p, 0.01) >= 0 ? 1 : 0;
  }
  CHECK(files > kFiles * 0.005);
  CHECK(files < kFiles * 0.015);
}

TEST_CASE("the normal distribution") {
  CHECK(normal_tail(0) == Approx(0.5));
  CHECK(normal_tail(1.959963985) == Approx(0.025));
  CHECK(normal_tail(10) == Approx(7.619853e-24));
  CHECK(normal_reach(0.95) == Approx(1.959963985));
  CHECK(normal_reach(0.6826894921) == Approx(1));
  CHECK_THROWS_AS(normal_reach(1), std::invalid_argument);
}

}  // namespace assay
