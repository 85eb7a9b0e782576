#include "harness/core/signal_stack.h"

#include <sys/mman.h>

#include <csignal>
#include <cstddef>

namespace assay {
namespace {

constexpr std::size_t kBytes = 64 << 10;

class SignalStack {
 public:
  SignalStack() {
    stack_t old = {};
    if (sigaltstack(nullptr, &old) != 0 || (old.ss_flags & SS_DISABLE) == 0) return;
    void* memory =
        mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return;
    memory_ = memory;
    stack_t stack = {};
    stack.ss_sp = memory;
    stack.ss_size = kBytes;
    sigaltstack(&stack, nullptr);
  }
  ~SignalStack() {
    if (!memory_) return;
    stack_t none = {};
    none.ss_flags = SS_DISABLE;
    sigaltstack(&none, nullptr);
    munmap(memory_, kBytes);
  }
  SignalStack(const SignalStack&) = delete;
  SignalStack& operator=(const SignalStack&) = delete;

 private:
  void* memory_ = nullptr;
};

}  // namespace

void use_signal_stack() { [[maybe_unused]] thread_local const SignalStack stack; }

}  // namespace assay
