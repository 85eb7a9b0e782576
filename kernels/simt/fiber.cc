#include "kernels/simt/fiber.h"

#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <boost/context/detail/fcontext.hpp>
#include <string>
#include <utility>

#include "harness/core/error.h"
#include "kernels/simt/flavour.h"

#if ASSAY_SIMT_ADDRESS
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace assay::executor {
namespace {

// Kernels keep little on their stacks; the address sanitizer surrounds every variable.
constexpr std::size_t kStackBytes = ASSAY_SIMT_ADDRESS ? 256 << 10 : 64 << 10;

std::size_t page_bytes() {
  static const auto bytes = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  return bytes;
}

// Where on its first page a stack begins. Were it the same on all, the variables that lanes
// exchange would meet in one set of the cache.
std::size_t next_color() {
  static std::atomic<std::size_t> count{0};
  return count++ % 61 * 64;
}

// Its lowest page may not be touched: an overflow ends the program instead of corrupting a
// neighbour.
char* allocate_stack() {
  const std::size_t bytes = kStackBytes + page_bytes();
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  if (memory == MAP_FAILED) {
    throw EnvironmentError("cannot map " + std::to_string(bytes) + " bytes for a fiber's stack");
  }
  mprotect(memory, page_bytes(), PROT_NONE);
  return static_cast<char*>(memory) + page_bytes();
}

}  // namespace

// What travels with a switch: who left. Whoever is resumed notes where to find the other.
struct Fiber::Switch {
  static void arrive(boost::context::detail::transfer_t transfer) {
    auto& left = *static_cast<Fiber*>(transfer.data);
    left.context_ = transfer.fctx;
  }

  static void enter(boost::context::detail::transfer_t transfer);
};

namespace {
thread_local Fiber* entering = nullptr;
}

Fiber::Fiber(Fiber&& other) noexcept
    : context_(std::exchange(other.context_, nullptr)),
      entry_(other.entry_),
      stack_(std::exchange(other.stack_, nullptr)),
      stack_bytes_(std::exchange(other.stack_bytes_, 0)),
      color_(other.color_),
      owns_stack_(std::exchange(other.owns_stack_, false)),
      finished_(other.finished_),
      fake_stack_(other.fake_stack_) {}

Fiber::~Fiber() {
  if (owns_stack_) munmap(stack_ - page_bytes(), stack_bytes_ + page_bytes());
}

void Fiber::reset(Entry entry) {
  if (!stack_) {
    stack_ = allocate_stack();
    stack_bytes_ = kStackBytes;
    color_ = next_color();
    owns_stack_ = true;
  }
#if ASSAY_SIMT_ADDRESS
  // The frames of an abandoned computation left their red zones behind; so does the executor, where
  // it has any itself.
#if defined(__SANITIZE_ADDRESS__)
  finished_ = false;
#endif
  if (!finished_) __asan_unpoison_memory_region(stack_, stack_bytes_);
#endif
  finished_ = false;
  entry_ = entry;
  context_ = boost::context::detail::make_fcontext(stack_ + stack_bytes_ - color_,
                                                   stack_bytes_ - color_, Switch::enter);
}

// Not instrumented: it never returns, so nothing would take away its red zones.
__attribute__((no_sanitize_address)) void Fiber::Switch::enter(
    boost::context::detail::transfer_t transfer) {
  Fiber& self = *entering;
#if ASSAY_SIMT_ADDRESS
  const void* bottom = nullptr;
  std::size_t bytes = 0;
  __sanitizer_finish_switch_fiber(nullptr, &bottom, &bytes);
  auto& left = *static_cast<Fiber*>(transfer.data);
  if (!left.owns_stack_) {
    left.stack_ = const_cast<char*>(static_cast<const char*>(bottom));
    left.stack_bytes_ = bytes;
  }
#endif
  arrive(transfer);
  self.entry_(self);
  __builtin_unreachable();
}

void Fiber::resume(Fiber& from) {
  entering = this;
#if ASSAY_SIMT_ADDRESS
  __sanitizer_start_switch_fiber(&from.fake_stack_, stack_, stack_bytes_);
#endif
  const boost::context::detail::transfer_t transfer =
      boost::context::detail::jump_fcontext(context_, &from);
#if ASSAY_SIMT_ADDRESS
  const void* bottom = nullptr;
  std::size_t bytes = 0;
  __sanitizer_finish_switch_fiber(from.fake_stack_, &bottom, &bytes);
#endif
  Switch::arrive(transfer);
}

}  // namespace assay::executor
