#include "reports/html_samples.h"

#include <limits>

#include "harness/testing.h"

namespace assay {

TEST_CASE("samples become 16-bit numbers between the shortest and the longest") {
  const std::vector<Sample> samples = {{.seconds = 2e-6}, {.seconds = 1e-6}, {.seconds = 4e-6}};
  // 32768 (rounded up from half of 65535), 0, 65535 in little-endian bytes: 00 80 00 00 ff ff.
  CHECK(html_samples(samples, 10) ==
        R"({"count":3,"every":1,"low":1e-06,"high":4e-06,"time":"AIAAAP//","clock":""})");
}

TEST_CASE("a clock is in MHz, with the highest bit where the sample was throttled") {
  const std::vector<Sample> samples = {{.seconds = 1e-6, .sm_mhz = 1980},
                                       {.seconds = 1e-6, .sm_mhz = 1200, .throttled = true}};
  // 1980 = 0x07bc, 1200 + 32768 = 0x84b0.
  CHECK(html_samples(samples, 10) ==
        R"({"count":2,"every":1,"low":1e-06,"high":1e-06,"time":"AAAAAA==","clock":"vAewhA=="})");
}

TEST_CASE("of many samples some are kept, in order, and what is no time is left out") {
  std::vector<Sample> samples(1000, {.seconds = 1e-6});
  CHECK(html_samples(samples, 500).find(R"("count":1000,"every":2,)") != std::string::npos);
  CHECK(html_samples(samples, 333).find(R"("every":4,)") != std::string::npos);
  CHECK(html_samples({}, 500) == "null");
  CHECK(html_samples({{.seconds = 0}, {.seconds = std::numeric_limits<double>::quiet_NaN()}}, 9) ==
        "null");
}

TEST_CASE("fewer samples a measurement where there are many measurements") {
  CHECK(most_samples(0) == 500);
  CHECK(most_samples(10'000) == 150);
  CHECK(most_samples(1'000'000) == 50);
}

}  // namespace assay
