#include "harness/worker/last_words.h"

#include <ucontext.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <iterator>

#include "harness/core/black_box.h"
#include "harness/core/named_memory.h"
#include "harness/core/signal_stack.h"

namespace assay {
namespace {

constexpr int kFatal[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP};
struct sigaction previous[std::size(kFatal)];

struct Fault {
  Access access = Access::unknown;
  std::uintptr_t stack = 0;
};

Fault fault_of(const void* context) {
  Fault fault;
#if defined(__x86_64__)
  const auto& registers = static_cast<const ucontext_t*>(context)->uc_mcontext.gregs;
  const auto error = static_cast<std::uint64_t>(registers[REG_ERR]);
  constexpr std::uint64_t kPageFault = 14;
  if (registers[REG_TRAPNO] == kPageFault)
    fault.access = (error & 16) != 0  ? Access::execute
                   : (error & 2) != 0 ? Access::write
                                      : Access::read;
  fault.stack = static_cast<std::uintptr_t>(registers[REG_RSP]);
#elif defined(__aarch64__)
  fault.stack = static_cast<const ucontext_t*>(context)->uc_mcontext.sp;
#endif
  return fault;
}

// A function's frame may be large, so that its first access is far below its caller's.
bool is_near_stack(std::uintptr_t address, std::uintptr_t stack) {
  constexpr std::uintptr_t kBelow = 1 << 20, kAbove = 1 << 16;
  return stack != 0 && address + kBelow > stack && address < stack + kAbove;
}

// Nothing here allocates, locks or looks at variables of the thread: it may have died anywhere.
void on_fatal(int signal, siginfo_t* info, void* context) {
  static std::atomic_flag begun;
  BlackBox& box = black_box();
  // By the hardware, at an address; not sent by someone.
  const bool is_fault = info->si_code > 0 && (signal == SIGSEGV || signal == SIGBUS);
  if (!begun.test_and_set()) {
    if (is_fault && info->si_code != SI_KERNEL) {
      const Fault fault = fault_of(context);
      const auto address = reinterpret_cast<std::uintptr_t>(info->si_addr);
      box.has_address = true;
      box.address = address;
      box.access = fault.access;
      const NamedMemory::Place place = NamedMemory::nearest(address);
      if (is_near_stack(address, fault.stack)) {
        box.stack_overflow = true;
      } else if (place.name) {
        std::strncpy(box.buffer, place.name, sizeof box.buffer - 1);
        box.buffer_bytes = place.bytes;
        box.offset = place.offset;
      }
    }
    box.signal = signal;
  }
  for (std::size_t i = 0; i < std::size(kFatal); ++i)
    if (kFatal[i] == signal) sigaction(signal, &previous[i], nullptr);
  // A faulting instruction is run again and faults again, abort() raises again by itself.
  if (info->si_code <= 0 && signal != SIGABRT) raise(signal);
}

[[noreturn]] void on_terminate() {
  try {
    if (const std::exception_ptr error = std::current_exception()) std::rethrow_exception(error);
  } catch (const std::exception& error) {
    store_text(black_box().words, error.what());
  } catch (...) {
    store_text(black_box().words, "an exception that is no std::exception");
  }
  std::abort();
}

}  // namespace

void install_last_words() {
  signal_stacks_wanted = true;
  use_signal_stack();
  struct sigaction action = {};
  action.sa_sigaction = on_fatal;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  for (std::size_t i = 0; i < std::size(kFatal); ++i) sigaction(kFatal[i], &action, &previous[i]);
  std::set_terminate(on_terminate);
}

}  // namespace assay
