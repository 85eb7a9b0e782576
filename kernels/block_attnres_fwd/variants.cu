#include "kernels/block_attnres_fwd/schedule.h"
#include "kernels/device/twin.h"

namespace assay::ASSAY_TWIN::block_attnres_fwd {

ASSAY_VARIANT(naive)(block_attnres::forward_variant(kTwinBackend, "naive"));
ASSAY_VARIANT(fused)(block_attnres::forward_variant(kTwinBackend, "fused"));
ASSAY_VARIANT(tensor_core)
(block_attnres::forward_variant(kTwinBackend, "tensor_core", block_attnres::tensor_core_kinds()));

}  // namespace assay::ASSAY_TWIN::block_attnres_fwd
