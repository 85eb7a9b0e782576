// Accesses that wrappers make on behalf of a thread, and the atomic ones.
#include <atomic>
#include <string>

#include "kernels/simt/block.h"
#include "kernels/simt/finding.h"
#include "kernels/simt/launch.h"
#include "kernels/simt/memory.h"

namespace assay::executor {

__attribute__((noinline)) void check_read(const void* address, int bytes) {
  race::access(*current, address, bytes, race::Access::read, __builtin_return_address(0));
}

__attribute__((noinline)) void atomic_before(const void* address, int bytes, Order order) {
  const void* place = __builtin_return_address(0);
  Thread& self = *current;
  if (reinterpret_cast<std::uintptr_t>(address) % static_cast<std::uintptr_t>(bytes) != 0)
    misaligned(address, bytes);
  race::access(self, address, bytes, race::Access::atomic, place);
  // A look at what another thread may be about to write: it gets its turn. (A kernel that asks in a
  // loop would hang.)
  if (order == Order::acquire || order == Order::acquire_release)
    self.block->suspend(State::polling, "an atomic access", place);
  race::atomic_publishes(self, address, order == Order::release || order == Order::acquire_release);
}

__attribute__((noinline)) void atomic_after(const void* address, int, Order order, bool changed) {
  Thread& self = *current;
  if (changed) self.block->progress().step();
  race::atomic_observes(self, address, order == Order::acquire || order == Order::acquire_release);
}

int atomic_add(int* address, int value) { return std::atomic_ref(*address).fetch_add(value); }
unsigned atomic_add(unsigned* address, unsigned value) {
  return std::atomic_ref(*address).fetch_add(value);
}
float atomic_add(float* address, float value) { return std::atomic_ref(*address).fetch_add(value); }
unsigned atomic_load(const unsigned* address) {
  return std::atomic_ref(*const_cast<unsigned*>(address)).load();
}
void atomic_store(unsigned* address, unsigned value) { std::atomic_ref(*address).store(value); }

void fence() { race::fence(*current); }

}  // namespace assay::executor
