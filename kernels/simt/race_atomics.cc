// What -fsanitize=thread makes of atomics on the host's side of kernel sources: the counts of
// shared pointers, guards of local statics. Kernels use kernels/device/atomic.h, which the race
// checker sees; any other atomic in a kernel is refused.
#include "kernels/simt/flavour.h"

#if ASSAY_SIMT_RACE

#include <cstdint>

#include "kernels/simt/block.h"

namespace {

void refuse_in_kernels() {
  if (assay::executor::Thread* thread = assay::executor::current)
    thread->block->fail("race", "an atomic access that is not one of kernels/device/atomic.h");
}

}  // namespace

extern "C" {

std::uint8_t __tsan_atomic8_load(const volatile std::uint8_t* a, int) {
  refuse_in_kernels();
  return __atomic_load_n(a, __ATOMIC_SEQ_CST);
}
std::uint32_t __tsan_atomic32_load(const volatile std::uint32_t* a, int) {
  refuse_in_kernels();
  return __atomic_load_n(a, __ATOMIC_SEQ_CST);
}
std::uint32_t __tsan_atomic32_fetch_add(volatile std::uint32_t* a, std::uint32_t value, int) {
  refuse_in_kernels();
  return __atomic_fetch_add(a, value, __ATOMIC_SEQ_CST);
}
int __tsan_atomic32_compare_exchange_weak(volatile std::uint32_t* a, std::uint32_t* expected,
                                          std::uint32_t value, int, int) {
  refuse_in_kernels();
  return __atomic_compare_exchange_n(a, expected, value, true, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

}  // extern "C"

#endif
