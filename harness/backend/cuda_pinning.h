// Pinning the host's blocks of memory where they are, so that the device copies to and from them by
// itself, at the full rate and beside whatever the host does. It takes 25 ms a GB and the end of
// the block another 19 (an H100's host; new pinned memory takes 330): worth it since blocks are
// used again and again.
#pragma once

#include <cstdint>

namespace assay {

// Pins the large block (core/host_blocks.h) that these bytes are in, for all devices of the process
// and until its end. False: it is other memory, there are enough pinned blocks, or the driver
// refuses.
bool pin_host_block(const void* memory, std::int64_t bytes);

}  // namespace assay
