// NVIDIA's profiling library, which a machine may lack: loaded at run time, by the first who asks.
#pragma once

#include <cuda_runtime.h>
#include <dlfcn.h>

#include <cstdlib>
#include <string>

#include "harness/core/error.h"

namespace assay {

class CuptiLibrary {
 public:
  static CuptiLibrary& get() {
    static CuptiLibrary library;
    return library;
  }

  bool is_there() const { return handle_ != nullptr; }

  // In one line, with the way out.
  static std::string why_missing() {
    return "CUPTI is not installed (" + file_name() +
           "): no kernel times beside the events', no counters; it comes with the CUDA Toolkit "
           "(package cuda-cupti-" +
           std::to_string(kMajor) + "-" + std::to_string(CUDART_VERSION % 1000 / 10) +
           ", or nvidia-cuda-cupti of pip), its folder belongs into LD_LIBRARY_PATH";
  }

  // Throws EnvironmentError where the library is too old to have it.
  template <class Function>
  Function* find(const char* name) const {
    auto* const function = reinterpret_cast<Function*>(handle_ ? dlsym(handle_, name) : nullptr);
    if (!function)
      throw EnvironmentError("CUPTI has no " + std::string(name) + ": it must be that of CUDA " +
                             std::to_string(kMajor));
    return function;
  }

 private:
  static constexpr int kMajor = CUDART_VERSION / 1000;
  static std::string file_name() { return "libcupti.so." + std::to_string(kMajor); }

  CuptiLibrary() {
    std::string folders[] = {"", "/usr/local/cuda/lib64/", "/usr/local/cuda/extras/CUPTI/lib64/",
                             ""};
    if (const char* home = std::getenv("CUDA_HOME")) folders[3] = std::string(home) + "/lib64/";
    for (const std::string& folder : folders) {
      if (handle_ == nullptr) handle_ = dlopen((folder + file_name()).c_str(), RTLD_NOW);
    }
  }
  void* handle_ = nullptr;
};

// What to do about a call that failed, where that is known.
inline std::string cupti_advice(int status) {
  constexpr int kNoPrivilege = 35, kNoPrivilegeVirtual = 40, kMultipleSubscribers = 39;
  switch (status) {
    case kNoPrivilege:
    case kNoPrivilegeVirtual:
      return "this user may not read the GPU's counters: run as root or with CAP_SYS_ADMIN, or "
             "load "
             "the driver with NVreg_RestrictProfilingToAdminUsers=0 "
             "(https://developer.nvidia.com/ERR_NVGPUCTRPERM)";
    case kMultipleSubscribers:
      return "another profiler is attached: run without it";
    default:
      return "CUPTI error " + std::to_string(status);
  }
}

}  // namespace assay
