// Runner is a way of running cases: in this process, or (harness/worker) in one that may die of it.
#pragma once

#include <map>
#include <memory>
#include <utility>

#include "harness/engine/run_case.h"
#include "harness/engine/verify.h"

namespace assay {

class Runner {
 public:
  virtual ~Runner() = default;
  virtual Record run(const Job& job, const RunOptions& options) = 0;
};

// Keeps references, twins' outputs and devices, which are opened when first used.
class InProcess final : public Runner {
 public:
  InProcess();
  Record run(const Job& job, const RunOptions& options) override;

 private:
  struct Opened {
    std::unique_ptr<Device> device;
    std::unique_ptr<Limits> limits;
  };
  std::map<std::pair<Backend, int>, Opened> devices_;
  Oracle oracle_;  // gone before the devices are
  TwinOutputs twins_;
};

}  // namespace assay
