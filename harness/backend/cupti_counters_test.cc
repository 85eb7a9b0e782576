#include "harness/backend/cupti_counters.h"

#include "harness/backend/cupti_library.h"
#include "harness/testing.h"

namespace assay {

TEST_CASE("counters are sorted into groups that one pass holds", "[cupti]") {
  if (!CuptiLibrary::get().is_there()) ASSAY_SKIP("CUPTI is not installed");
  using Names = std::vector<std::string>;
  const auto groups = cupti_groups(
      "GH100", {"dram__bytes_read.sum", "dram__bytes_write.sum", "lts__t_sector_hit_rate.pct",
                "sm__warps_active.avg.pct_of_peak_sustained_active"});
  REQUIRE(groups.size() >= 2);  // those of the memory and those of L2 do not go together
  CHECK(groups[0] == Names{"dram__bytes_read.sum", "dram__bytes_write.sum"});
  CHECK(groups[1][0] == "lts__t_sector_hit_rate.pct");
}

TEST_CASE("a counter that the chip does not have is named", "[cupti]") {
  if (!CuptiLibrary::get().is_there()) ASSAY_SKIP("CUPTI is not installed");
  std::string text;
  try {
    cupti_groups("GH100", {"dram__bytes_read.sum", "dram__poems.sum"});
  } catch (const UsageError& error) {
    text = error.what();
  }
  CHECK(text.rfind("no counter `dram__poems.sum` on GH100", 0) == 0);
}

}  // namespace assay
