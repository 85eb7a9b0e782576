// Fibers: stacks to run device threads on, and the switch between them. All fibers of a block live
// on one OS thread and never leave it.
#pragma once

#include <cstddef>

namespace assay::executor {

// A stack with a suspended computation on it; or, without a stack of its own, that of the OS
// thread.
class Fiber {
 public:
  using Entry = void (*)(Fiber& self);

  Fiber() = default;
  Fiber(Fiber&& other) noexcept;
  Fiber& operator=(Fiber&&) = delete;
  ~Fiber();

  // Makes the next switch to this fiber call entry(*this), which must never return. What the stack
  // held is forgotten.
  void reset(Entry entry);

  // Suspends `from`, which is running, and goes on with this fiber.
  void resume(Fiber& from);
  // The same for the last time: `from` has nothing left on its stack.
  void resume_after(Fiber& from) {
    from.finished_ = true;
    resume(from);
  }

  // Whether the address lies on this fiber's stack.
  bool holds(const void* address) const {
    const auto* byte = static_cast<const char*>(address);
    return byte >= stack_ && byte < stack_ + stack_bytes_;
  }

 private:
  struct Switch;

  void* context_ = nullptr;  // of boost.context, while suspended
  Entry entry_ = nullptr;
  char* stack_ = nullptr;
  std::size_t stack_bytes_ = 0;
  std::size_t color_ = 0;
  bool owns_stack_ = false;
  bool finished_ = true;        // at reset(): no frames of an abandoned computation are left
  void* fake_stack_ = nullptr;  // of the address sanitizer
};

}  // namespace assay::executor
