// Stores of what is not read again soon.
#pragma once

#include "kernels/device/vector.h"

namespace assay::ASSAY_TWIN {

// As store_words, of 16 bytes that may leave the cache first: where many rows are written side by
// side, they then leave it in the order in which memory likes them. (PTX ISA, st.global.cs.)
ASSAY_DEVICE void store_streaming(void* address, const std::uint32_t (&words)[4]) {
#if ASSAY_SIMT
  store_words(address, words);
#else
  __stcs(static_cast<uint4*>(address), make_uint4(words[0], words[1], words[2], words[3]));
#endif
}

}  // namespace assay::ASSAY_TWIN
