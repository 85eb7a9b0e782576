// 16-byte copies from global to shared memory that need no registers and complete later, in groups,
// in order (sm_80+).
#pragma once

#include "kernels/device/twin.h"

namespace assay::ASSAY_TWIN {

// Starts a copy of 16 bytes (both addresses aligned to 16); if not `valid`, writes zeros and reads
// nothing.
ASSAY_DEVICE void copy_async16(void* shared, const void* global, bool valid) {
#if ASSAY_SIMT
  executor::copy_async(shared, global, 16, valid);
#else
  const auto to = static_cast<unsigned>(__cvta_generic_to_shared(shared));
  const int bytes = valid ? 16 : 0;
  asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16, %2;" ::"r"(to), "l"(global),
               "r"(bytes)
               : "memory");
#endif
}

// Closes this thread's current group of copies (which may be empty).
ASSAY_DEVICE void commit_async() {
#if ASSAY_SIMT
  executor::commit_async();
#else
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

// Waits until at most kPending of this thread's latest groups are under way. What they copied is
// then visible to this thread; to others only after a barrier.
template <int kPending>
ASSAY_DEVICE void wait_async() {
#if ASSAY_SIMT
  executor::wait_async(kPending);
#else
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
#endif
}

}  // namespace assay::ASSAY_TWIN
