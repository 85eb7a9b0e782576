// BlackBox is what a process leaves behind when it is stuck or dies: what it was doing, and what it
// died of. A worker keeps it in memory that it shares with its supervisor; any other process in
// memory of its own, where nobody looks. One to a process, like the signals that fill it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace assay {

enum class Phase : std::uint8_t { between, host, kernel };  // between: after `what`
enum class Access : std::uint8_t { unknown, read, write, execute };

struct BlackBox {
  static constexpr std::uint64_t kMagic = 0x31786f6279617373;
  std::uint64_t magic = kMagic;

  std::atomic<std::uint64_t> steps{0};  // grows whenever the process gets further
  std::atomic<Phase> phase{Phase::between};
  std::atomic<int> launches{1};  // that a kernel phase waits for
  char what[128] = {};
  char family[64] = {};  // of the inputs of the last kernel phase
  std::uint64_t seed = 0;
  std::atomic<bool> launched{false};  // this case has begun to run its kernel

  // Of the fatal signal.
  std::atomic<int> signal{0};
  bool has_address = false;
  std::uint64_t address = 0;
  Access access = Access::unknown;
  bool stack_overflow = false;
  char buffer[64] = {};  // the named buffer that is nearest to the address, if any is near
  std::int64_t buffer_bytes = 0;
  std::int64_t offset = 0;  // of the address in it
  char words[512] = {};     // of an exception that nobody caught
};

BlackBox& black_box();              // of this process
void use_black_box(BlackBox& box);  // from now on; to be called before there are threads

// Cuts what does not fit.
void store_text(char* to, std::size_t size, std::string_view text);
template <std::size_t kSize>
void store_text(char (&to)[kSize], std::string_view text) {
  store_text(to, kSize, text);
}

void begin_stages();   // of a new case: forgets what the last one did
void note_progress();  // for what may take long without being stuck

// What the thread that runs the case does during this object's life. A kernel stage may last as
// long as --timeout allows for each of its launches, a host stage minutes.
class HostStage {
 public:
  explicit HostStage(std::string_view what);
  ~HostStage();
  HostStage(const HostStage&) = delete;
  HostStage& operator=(const HostStage&) = delete;
};

class KernelStage {
 public:
  KernelStage(std::string_view what, int launches);
  // Also says on which inputs.
  KernelStage(std::string_view what, std::string_view family, std::uint64_t seed);
  ~KernelStage();
  KernelStage(const KernelStage&) = delete;
  KernelStage& operator=(const KernelStage&) = delete;
};

}  // namespace assay
