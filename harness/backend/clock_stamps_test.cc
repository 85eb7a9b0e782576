#include "harness/backend/clock_stamps.h"

#include "harness/testing.h"

namespace assay {

TEST_CASE("a clock is cycles over nanoseconds, in a window that is wide enough", "[clock]") {
  // Two units; the second starts elsewhere. 2 GHz for three readings, then 1 GHz.
  const std::vector<ClockStamp> stamps = {{0, 1000},    {77, 1000},    //
                                          {2000, 2000}, {2077, 2000},  //
                                          {4000, 3000}, {4077, 3000},  //
                                          {5000, 4000}, {5077, 4000},  //
                                          {6000, 5000}, {6077, 5000}};
  CHECK(clock_around(stamps, 2, 0, 1000) == 2e9);
  CHECK(clock_around(stamps, 2, 3, 1000) == 1e9);
  CHECK(clock_around(stamps, 2, 0, 1500) == 2e9);         // from the first reading to the third
  CHECK(clock_around(stamps, 2, 3, 3000) == 4e9 / 3);     // from the second to the last
  CHECK(clock_around(stamps, 2, 1, 1'000'000) == 1.5e9);  // no wider than there are readings
}

TEST_CASE("a unit that was not read has no clock", "[clock]") {
  const std::vector<ClockStamp> stamps = {{100, 1000}, {0, 0}, {1100, 2000}, {5, 2000}};
  CHECK(clock_around(stamps, 2, 0, 1) == 1e9);
  const std::vector<ClockStamp> none(4);
  CHECK(clock_around(none, 2, 0, 1) == 0);
}

}  // namespace assay
