// Additions of layers that grow as the inputs of the layers do. Sums of blocks grow with every
// layer: beside them an addition of constant size vanishes, from some layer on without a trace in
// 16 bits, and with it a mistake in what that layer does. Here every layer counts alike.
#pragma once

#include "harness/core/op.h"

namespace assay {

// Multiplies row (l, t) of Y by the root mean square of what layer l mixes for token t, from the
// other inputs as they are stored. That is computed to three digits, which is enough, in operations
// that round alike on every machine.
void grow_additions(const Problem& problem, const Tensors& inputs);

}  // namespace assay
