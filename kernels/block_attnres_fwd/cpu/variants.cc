#include "kernels/block_attnres_fwd/schedule.h"

namespace assay::block_attnres {

ASSAY_VARIANT(naive)(forward_variant(Backend::cpu, "naive"));
ASSAY_VARIANT(fused)(forward_variant(Backend::cpu, "fused"));

}  // namespace assay::block_attnres
