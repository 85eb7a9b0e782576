#include "kernels/block_attnres_bwd/schedule.h"
#include "kernels/device/twin.h"

namespace assay::ASSAY_TWIN::block_attnres_bwd {

ASSAY_VARIANT(naive)(block_attnres::backward_variant(kTwinBackend, "naive"));
ASSAY_VARIANT(fused)(block_attnres::backward_variant(kTwinBackend, "fused"));

}  // namespace assay::ASSAY_TWIN::block_attnres_bwd
