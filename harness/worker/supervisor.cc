#include "harness/worker/supervisor.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <new>
#include <thread>

#include "harness/core/black_box.h"
#include "harness/core/error.h"
#include "harness/worker/protocol.h"
#include "reports/jsonl.h"

namespace assay {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kTickMilliseconds = 50;
constexpr double kStartLimit = 120;  // seconds; a debug build on a busy machine is slow to load
constexpr double kEndLimit = 10;     // to close devices
// What simt finds out about a kernel that hangs, place by place, is worth waiting for.
constexpr double kSimtMargin = 10;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Above the descriptors that the worker gets, so that arranging those closes none of these.
int lift(int descriptor) {
  const int high = fcntl(descriptor, F_DUPFD_CLOEXEC, 10);
  close(descriptor);
  return high;
}

std::string name_of_signal(int signal) {
  const char* abbreviation = sigabbrev_np(signal);
  return abbreviation ? fmt::format("SIG{}", abbreviation) : fmt::format("signal {}", signal);
}

std::string words_for(Access access) {
  switch (access) {
    case Access::read:
      return "read";
    case Access::write:
      return "wrote";
    case Access::execute:
      return "jumped to";
    case Access::unknown:
      break;
  }
  return "touched";
}

std::string bytes(std::int64_t count) {
  return fmt::format("{} byte{}", count, count == 1 ? "" : "s");
}

// "read 32 bytes after the end of V"
std::string describe_fault(const BlackBox& box) {
  if (box.stack_overflow) return "stack overflow";
  const std::string did = words_for(box.access);
  if (box.buffer[0] == 0) return fmt::format("{} address {:#x}", did, box.address);
  if (box.offset < 0)
    return fmt::format("{} {} before the begin of {}", did, bytes(-box.offset), box.buffer);
  if (box.offset < box.buffer_bytes)
    return fmt::format("{} byte {} of {}, which it may not", did, box.offset, box.buffer);
  const std::int64_t past = box.offset - box.buffer_bytes;
  return past == 0 ? fmt::format("{} the first byte after the end of {}", did, box.buffer)
                   : fmt::format("{} {} after the end of {}", did, bytes(past), box.buffer);
}

// ", while computing the reference …", ", in a launch", ", after a launch"
std::string describe_stage(const BlackBox& box) {
  if (box.what[0] == 0) return "";
  const bool is_over = box.phase == Phase::between;
  const bool is_host = box.phase == Phase::host;
  return fmt::format(", {} {}", is_over ? "after" : is_host ? "while" : "in", box.what);
}

std::string describe_death(int status, const BlackBox& box) {
  // A sanitizer makes an exit of a signal.
  const int noted = box.signal;
  if (WIFEXITED(status) && noted == 0)
    return fmt::format("ended its process with exit code {}", WEXITSTATUS(status));
  const int signal = WIFEXITED(status) ? noted : WTERMSIG(status);
  std::string text = name_of_signal(signal);
  if (signal == SIGKILL) text += ": killed from outside, perhaps for want of memory";
  if (noted == signal && box.has_address) text += ": " + describe_fault(box);
  if (signal == SIGABRT && box.words[0] != 0) text += std::string(": ") + box.words;
  return text;
}

Record begin_verdict(const Job& job, const RunOptions& options, const BlackBox& box) {
  Record record = begin_record(job, options);
  // Asking the variant may be what crashed.
  if (box.launched) add_declarations(record, job);
  return record;
}

}  // namespace

class Supervisor::Worker {
 public:
  explicit Worker(const std::vector<std::string>& command);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  LineSocket& socket() { return socket_; }
  const BlackBox& box() const { return *box_; }
  // Waits a tick for bytes; false: there were none.
  bool poll_tick() const;
  int wait_for_end();  // as waitpid gives it
  int kill_and_wait();
  bool is_running() const { return pid_ > 0; }

 private:
  pid_t pid_ = -1;
  LineSocket socket_{-1};
  BlackBox* box_ = nullptr;
};

Supervisor::Worker::Worker(const std::vector<std::string>& command) {
  const auto fail = [](const std::string& what) {
    throw EnvironmentError(what + ": " + std::strerror(errno));
  };
  const int memory = lift(memfd_create("assay black box", MFD_CLOEXEC));
  if (memory < 0 || ftruncate(memory, sizeof(BlackBox)) != 0) fail("no memory to share");
  void* mapped = mmap(nullptr, sizeof(BlackBox), PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
  if (mapped == MAP_FAILED) fail("cannot map memory to share");
  box_ = new (mapped) BlackBox;
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) fail("no socket");
  const int mine = lift(ends[0]), theirs = lift(ends[1]);
  socket_ = LineSocket(mine);

  std::vector<char*> arguments;
  for (const std::string& argument : command)
    arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, theirs, kSocket);
  posix_spawn_file_actions_adddup2(&actions, memory, kBlackBox);
  const int error =
      posix_spawn(&pid_, command[0].c_str(), &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  close(theirs);
  close(memory);
  if (error != 0) {
    pid_ = -1;
    close(mine);
    munmap(box_, sizeof(BlackBox));
    throw EnvironmentError(std::string("cannot start a process: ") + std::strerror(error));
  }
}

Supervisor::Worker::~Worker() {
  if (is_running()) {
    shutdown(socket_.descriptor(), SHUT_RDWR);  // which asks it to end
    wait_for_end();
  }
  close(socket_.descriptor());
  munmap(box_, sizeof(BlackBox));
}

bool Supervisor::Worker::poll_tick() const {
  pollfd waiting = {socket_.descriptor(), POLLIN, 0};
  return poll(&waiting, 1, kTickMilliseconds) > 0;
}

int Supervisor::Worker::wait_for_end() {
  const Clock::time_point start = Clock::now();
  int status = 0;
  for (auto pause = std::chrono::microseconds(50); waitpid(pid_, &status, WNOHANG) == 0;) {
    if (seconds_since(start) > kEndLimit) return kill_and_wait();
    std::this_thread::sleep_for(pause);
    pause = std::min(2 * pause, std::chrono::microseconds(10'000));
  }
  pid_ = -1;
  return status;
}

int Supervisor::Worker::kill_and_wait() {
  int status = 0;
  kill(pid_, SIGKILL);
  while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  return status;
}

Supervisor::Supervisor(std::vector<std::string> command, double host_limit)
    : command_(std::move(command)), host_limit_(host_limit) {}

Supervisor::~Supervisor() = default;

bool Supervisor::start() {
  try {
    worker_ = std::make_unique<Worker>(command_);
  } catch (const EnvironmentError& error) {
    why_not_ = error.what();
    return false;
  }
  ++started_;
  const Clock::time_point start = Clock::now();
  std::string line;
  while (!worker_->socket().take(line)) {
    if (seconds_since(start) > kStartLimit) {
      worker_->kill_and_wait();
      why_not_ = fmt::format("it was not ready after {} s", kStartLimit);
    } else if (worker_->poll_tick() && !worker_->socket().receive()) {
      why_not_ = describe_death(worker_->wait_for_end(), worker_->box());
    }
    if (!worker_->is_running()) {
      worker_ = nullptr;
      return false;
    }
  }
  return true;
}

Record Supervisor::run(const Job& job, const RunOptions& options) {
  // A worker that died while it had nothing to do is replaced in passing.
  for (int attempt = 0; attempt < 3; ++attempt) {
    if (!worker_ && !start()) {
      std::this_thread::sleep_for(std::chrono::milliseconds(100 << attempt));
      continue;
    }
    if (std::optional<Record> record = run_in(*worker_, job, options)) return *std::move(record);
    worker_ = nullptr;
  }
  throw EnvironmentError("cannot start a worker process (" + why_not_ +
                         "); --in-process runs without one");
}

std::optional<Record> Supervisor::run_in(Worker& worker, const Job& job,
                                         const RunOptions& options) {
  const Clock::time_point start = Clock::now();
  const BlackBox& box = worker.box();
  const auto verdict = [&](Status status, const std::string& kind, const std::string& reason) {
    Record record = begin_verdict(job, options, box);
    Check check;
    check.kind = kind;
    check.family = box.family;
    check.seed = box.seed;
    check.output = box.buffer;
    check.status = status;
    check.reason = reason + describe_stage(box);
    record.checks = {check};
    judge_checks(record);
    record.seconds = seconds_since(start);
    worker_ = nullptr;
    return record;
  };

  const std::uint64_t steps_before = box.steps;
  if (!worker.socket().send(to_line(job, options))) {
    why_not_ = describe_death(worker.wait_for_end(), box);
    return std::nullopt;
  }
  std::uint64_t steps = steps_before;
  double idle = 0;  // seconds; counted by ticks, so that a stopped sweep does not count
  Clock::time_point last = start;
  std::string line;
  for (;;) {
    if (worker.poll_tick() && !worker.socket().receive()) {
      const std::string death = describe_death(worker.wait_for_end(), box);
      if (box.steps == steps_before) {
        why_not_ = death;
        return std::nullopt;
      }
      return verdict(Status::crashed, box.buffer[0] != 0 ? "fence" : "crash", death);
    }
    if (worker.socket().take(line)) {
      Record record = read_record(line);
      if (record.status == Status::crashed) worker_ = nullptr;  // it ends itself
      return record;
    }
    const double tick = std::min(seconds_since(last), 2e-3 * kTickMilliseconds);
    last = Clock::now();
    const std::uint64_t now = box.steps;
    idle = now == steps ? idle + tick : 0;
    steps = now;
    const bool in_kernel = box.phase == Phase::kernel;
    const int launches = std::max(1, box.launches.load());
    double limit = in_kernel ? options.verify.execution.timeout * launches : host_limit_;
    if (in_kernel && job.device->backend == Backend::simt) limit += kSimtMargin;
    if (idle <= limit) continue;
    // It may have got further while this was worked out.
    if (box.steps != steps) continue;
    worker.kill_and_wait();
    return verdict(Status::timeout, "hang",
                   launches > 1
                       ? fmt::format("{} launches had not ended after {:.3g} s", launches, limit)
                       : fmt::format("had not ended after {:.3g} s", limit));
  }
}

}  // namespace assay
