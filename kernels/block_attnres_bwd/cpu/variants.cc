#include "kernels/block_attnres_bwd/schedule.h"

namespace assay::block_attnres {

ASSAY_VARIANT(naive)(backward_variant(Backend::cpu, "naive"));
ASSAY_VARIANT(fused)(backward_variant(Backend::cpu, "fused"));

}  // namespace assay::block_attnres
