#include "harness/backend/cuda_info.h"

#include <cstdint>
#include <utility>

#include "harness/backend/cuda_handles.h"
#include "harness/backend/cuda_nvml.h"

namespace assay {

std::string version_text(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

int attribute(cudaDeviceAttr what, int index) {
  int value = 0;
  check(cudaDeviceGetAttribute(&value, what, index), "asking for a property of the CUDA device");
  return value;
}

DeviceInfo describe_cuda(int index) {
  cudaDeviceProp properties = {};
  check(cudaGetDeviceProperties(&properties, index), "asking for the properties of a CUDA device");
  int driver = 0, runtime = 0;
  check(cudaDriverGetVersion(&driver), "asking for the driver's version");
  check(cudaRuntimeGetVersion(&runtime), "asking for the runtime's version");

  DeviceInfo info;
  info.backend = Backend::cuda;
  info.index = index;
  info.name = properties.name;
  info.arch = properties.major * 10 + properties.minor;
  // The rest is for the context, the measurement of bandwidth and fragmentation.
  info.memory_bytes =
      static_cast<std::int64_t>(properties.totalGlobalMem) / 10 * 9 - (std::int64_t{1} << 30);
  info.cache_bytes = properties.l2CacheSize;
  info.sm_mhz = static_cast<float>(attribute(cudaDevAttrClockRate, index)) * 1e-3F;
  // Two transfers a clock.
  info.pin_rate =
      2.0 * attribute(cudaDevAttrMemoryClockRate, index) * 1e3 * (properties.memoryBusWidth / 8.0);
  info.facts = {
      {"compute capability",
       std::to_string(properties.major) + "." + std::to_string(properties.minor)},
      {"multiprocessors", std::to_string(properties.multiProcessorCount)},
      {"memory", std::to_string(properties.totalGlobalMem >> 20) + " MiB"},
      {"L2", std::to_string(properties.l2CacheSize >> 20) + " MiB"},
      {"memory bus", std::to_string(properties.memoryBusWidth) + " bits"},
      {"rate of the memory's pins",
       std::to_string(static_cast<long long>(info.pin_rate / 1e9)) + " GB/s"},
      {"CUDA driver", version_text(driver)},
      {"CUDA runtime", version_text(runtime)},
  };
  char pci_bus_id[32] = {};
  if (cudaDeviceGetPCIBusId(pci_bus_id, sizeof pci_bus_id, index) == cudaSuccess) {
    for (auto& fact : nvml_facts(pci_bus_id)) info.facts.push_back(std::move(fact));
  }
  return info;
}

}  // namespace assay
