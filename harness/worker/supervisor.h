// Supervisor runs cases in a worker process. A worker that dies or is stuck becomes the verdict of
// its case, and another one takes over: the sweep goes on.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "harness/engine/runner.h"

namespace assay {

class Supervisor final : public Runner {
 public:
  // `command`: a program that calls worker_main(), and its arguments. The default is this program.
  // `host_limit`: seconds that inputs, references or anything but a kernel may take.
  explicit Supervisor(std::vector<std::string> command = {"/proc/self/exe", "worker"},
                      double host_limit = 600);
  ~Supervisor() override;

  // Throws EnvironmentError where no worker can be started. To be called by one thread, which must
  // not end before this object: the kernel kills a worker when the thread that started it is gone.
  Record run(const Job& job, const RunOptions& options) override;

  int started() const { return started_; }  // workers so far

 private:
  class Worker;
  bool start();
  // None: the worker died before it began.
  std::optional<Record> run_in(Worker& worker, const Job& job, const RunOptions& options);

  std::vector<std::string> command_;
  double host_limit_;
  int started_ = 0;
  std::string why_not_;  // the last worker did not start
  std::unique_ptr<Worker> worker_;
};

}  // namespace assay
