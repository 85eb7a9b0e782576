// The callbacks that -fsanitize=thread puts before every access of a kernel: each goes to the race
// checker.
#include "kernels/simt/flavour.h"

#if ASSAY_SIMT_RACE

#include <atomic>
#include <cstddef>
#include <string>

#include "kernels/simt/block.h"
#include "kernels/simt/launch.h"
#include "kernels/simt/race.h"

namespace {

using assay::executor::current;
using assay::executor::race::Access;

inline void note(const void* address, int bytes, Access::Kind kind, const void* place) {
  assay::executor::Thread* thread = current;
  if (thread == nullptr) return;
  if (thread->block->launch().hung.load(std::memory_order_relaxed)) {
    // A loop that never gives up its turn ends here.
    thread->operation = "a loop", thread->place = place,
    thread->state = assay::executor::State::polling;
    thread->block->fail("hang", "no thread got any further; block " +
                                    std::to_string(thread->block->index()) + ":\n" +
                                    thread->block->whereabouts());
  }
  // Its stack; what the wrappers read to know which thread they are in.
  const auto* byte = static_cast<const char*>(address);
  if (thread->fiber.holds(address) || address == &current ||
      (byte >= reinterpret_cast<const char*>(thread) &&
       byte < reinterpret_cast<const char*>(thread + 1)))
    return;
  assay::executor::race::access(*thread, address, bytes, kind, place);
}

}  // namespace

#define ASSAY_CALLBACKS(bytes)                                  \
  extern "C" void __tsan_read##bytes(void* a) {                 \
    note(a, bytes, Access::read, __builtin_return_address(0));  \
  }                                                             \
  extern "C" void __tsan_write##bytes(void* a) {                \
    note(a, bytes, Access::write, __builtin_return_address(0)); \
  }                                                             \
  extern "C" void __tsan_unaligned_read##bytes(void* a) {       \
    note(a, bytes, Access::read, __builtin_return_address(0));  \
  }                                                             \
  extern "C" void __tsan_unaligned_write##bytes(void* a) {      \
    note(a, bytes, Access::write, __builtin_return_address(0)); \
  }                                                             \
  extern "C" void __tsan_volatile_read##bytes(void* a) {        \
    note(a, bytes, Access::read, __builtin_return_address(0));  \
  }                                                             \
  extern "C" void __tsan_volatile_write##bytes(void* a) {       \
    note(a, bytes, Access::write, __builtin_return_address(0)); \
  }
ASSAY_CALLBACKS(1)
ASSAY_CALLBACKS(2)
ASSAY_CALLBACKS(4)
ASSAY_CALLBACKS(8)
ASSAY_CALLBACKS(16)

extern "C" {
void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_read_range(void* a, std::size_t bytes) {
  note(a, static_cast<int>(bytes), Access::read, __builtin_return_address(0));
}
void __tsan_write_range(void* a, std::size_t bytes) {
  note(a, static_cast<int>(bytes), Access::write, __builtin_return_address(0));
}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}
}

#endif  // ASSAY_SIMT_RACE
