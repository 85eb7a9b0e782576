#include "kernels/block_attnres_fwd/schedule.h"
#include "kernels/device/twin.h"

namespace assay::ASSAY_TWIN::block_attnres_fwd {

ASSAY_VARIANT(naive)(block_attnres::forward_variant(kTwinBackend, "naive"));
ASSAY_VARIANT(fused)(block_attnres::forward_variant(kTwinBackend, "fused"));

}  // namespace assay::ASSAY_TWIN::block_attnres_fwd
