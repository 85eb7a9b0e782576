#include "harness/worker/worker.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <string>

#include "harness/core/black_box.h"
#include "harness/core/error.h"
#include "harness/engine/runner.h"
#include "harness/worker/last_words.h"
#include "harness/worker/protocol.h"
#include "reports/jsonl.h"

namespace assay {
namespace {

BlackBox& open_black_box() {
  struct stat file = {};
  void* memory = MAP_FAILED;
  if (fstat(kBlackBox, &file) == 0 && file.st_size == static_cast<off_t>(sizeof(BlackBox)))
    memory = mmap(nullptr, sizeof(BlackBox), PROT_READ | PROT_WRITE, MAP_SHARED, kBlackBox, 0);
  if (memory == MAP_FAILED || static_cast<BlackBox*>(memory)->magic != BlackBox::kMagic)
    throw UsageError("`assay worker` is what `assay run` starts; use that");
  return *static_cast<BlackBox*>(memory);
}

}  // namespace

int worker_main() {
  use_black_box(open_black_box());
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // an interrupted sweep leaves nothing running
  prctl(PR_SET_NAME, "assay worker");
  for (const int descriptor : {kSocket, kBlackBox}) fcntl(descriptor, F_SETFD, FD_CLOEXEC);
  install_last_words();
  InProcess runner;
  LineSocket socket(kSocket);
  std::string line;
  for (bool open = socket.send(kReady); open;) {
    if (!socket.take(line)) {
      open = socket.receive();
      continue;
    }
    const Order order = read_order(line);
    DeviceInfo device;
    device.backend = order.backend;
    device.index = order.device;
    const Record record =
        runner.run({order.problem, order.variant, &device, order.is_liar, order.alias, order.note},
                   order.options);
    std::fflush(nullptr);
    open = socket.send(to_json(record));
    // The device is lost to this process; its context may not even close.
    if (record.status == Status::crashed) _exit(0);
  }
  return 0;
}

}  // namespace assay
