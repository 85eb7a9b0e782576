// Atomic accesses to 32-bit words of global or shared memory, at the scope of the device, and
// fences.
#pragma once

#include "kernels/device/twin.h"

namespace assay::ASSAY_TWIN {

// *address += value; returns what was there. Orders nothing. (fp32: in no fixed order, so not
// repeatable.)
template <class T>
ASSAY_DEVICE T atomic_add(T* address, T value) {
  static_assert(sizeof(T) == 4);
#if ASSAY_SIMT
  executor::atomic_before(address, 4, executor::Order::relaxed);
  const T old = executor::atomic_add(address, value);
  executor::atomic_after(address, 4, executor::Order::relaxed, value != T{});
  return old;
#else
  return atomicAdd(address, value);
#endif
}

// Reads a word; what its writer did before store_release is visible afterwards. May be asked in a
// loop.
ASSAY_DEVICE unsigned load_acquire(const unsigned* address) {
#if ASSAY_SIMT
  executor::atomic_before(address, 4, executor::Order::acquire);
  const unsigned value = executor::atomic_load(address);
  executor::atomic_after(address, 4, executor::Order::acquire, false);
  return value;
#else
  unsigned value;
  asm volatile("ld.acquire.gpu.u32 %0, [%1];" : "=r"(value) : "l"(address) : "memory");
  return value;
#endif
}

ASSAY_DEVICE void store_release(unsigned* address, unsigned value) {
#if ASSAY_SIMT
  executor::atomic_before(address, 4, executor::Order::release);
  executor::atomic_store(address, value);
  executor::atomic_after(address, 4, executor::Order::release, true);
#else
  asm volatile("st.release.gpu.u32 [%0], %1;" ::"l"(address), "r"(value) : "memory");
#endif
}

// Orders this thread's accesses before it and after it, for the device: with atomic_add, a "last
// block" pattern.
ASSAY_DEVICE void fence() {
#if ASSAY_SIMT
  executor::fence();
#else
  __threadfence();
#endif
}

}  // namespace assay::ASSAY_TWIN
