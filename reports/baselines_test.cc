// The names under which baselines are kept.
#include "reports/baselines.h"

#include "harness/core/text.h"
#include "harness/testing.h"

namespace assay {

TEST_CASE("a device's baseline has its name in letters that any file may have") {
  CHECK(slug("NVIDIA H100 80GB HBM3") == "nvidia-h100-80gb-hbm3");
  CHECK(slug("Intel(R) Xeon(R) CPU @ 2.20GHz") == "intel-r-xeon-r-cpu-2-20ghz");
  CHECK(slug("../../etc/passwd") == "etc-passwd");
  CHECK(slug("") == "unknown");
  CHECK(baseline_path("b", "NVIDIA H200") == "b/nvidia-h200.jsonl");
}

}  // namespace assay
