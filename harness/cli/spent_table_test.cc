#include "harness/cli/spent_table.h"

#include "harness/testing.h"

namespace assay {

TEST_CASE("a sweep says where its wall time went", "[spending]") {
  Record first, second;
  first.spent = {{"reference", 5}, {"comparison", 0.5}, {"rest", 0.1}};
  second.spent = {{"timing", 2}, {"reference", 1}};
  SpentTable table;
  table.add(first);
  table.add(second);
  CHECK(table.text(10) ==
        "wall time: reference 60.0 %, timing 20.0 %, comparison 5.0 %, rest 15.0 %; Assay itself "
        "20.0 %");
  CHECK(SpentTable().text(0) == "wall time: rest 100.0 %; Assay itself 100.0 %");
}

}  // namespace assay
