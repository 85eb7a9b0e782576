// Declared arithmetic as text that people and programs write: "height=64,weights=bf16".
#pragma once

#include <string_view>

#include "harness/core/op.h"

namespace assay {

// `defaults` with what the text says: accumulate, probabilities, weights and partials are dtypes,
// height, batch_height and rescales numbers, truncates_mix is 0 or 1. Throws UsageError.
Numerics parse_numerics(std::string_view text, const Numerics& defaults);

}  // namespace assay
