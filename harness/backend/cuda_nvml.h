// What only the management library knows about a GPU: driver, clocks, power limit, ECC. Loaded at
// run time, since a machine may have the driver without it; its header need not be installed.
// Nothing here changes a setting.
#pragma once

#include <dlfcn.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace assay {

// Facts of the GPU at `pci_bus_id` ("0000:4E:00.0"), as far as the library tells them; empty if it
// is not there.
inline std::vector<std::pair<std::string, std::string>> nvml_facts(const char* pci_bus_id) {
  using Handle = struct nvmlDevice_st*;
  constexpr int kSuccess = 0;
  constexpr unsigned kSmClock = 1, kMemoryClock = 2;  // nvmlClockType_t

  std::vector<std::pair<std::string, std::string>> facts;
  const std::unique_ptr<void, int (*)(void*)> library(dlopen("libnvidia-ml.so.1", RTLD_NOW),
                                                      [](void* p) { return p ? dlclose(p) : 0; });
  if (!library) return facts;
  // The function `name`, called with `args`; false where it is missing or fails.
  const auto call = [&]<class... Args>(const char* name, Args... args) {
    const auto function = reinterpret_cast<int (*)(Args...)>(dlsym(library.get(), name));
    return function && function(args...) == kSuccess;
  };
  if (!call("nvmlInit_v2")) return facts;

  char driver[96] = {};
  if (call("nvmlSystemGetDriverVersion", &driver[0], unsigned{sizeof driver})) {
    facts.emplace_back("driver", driver);
  }
  Handle device = nullptr;
  if (call("nvmlDeviceGetHandleByPciBusId_v2", pci_bus_id, &device)) {
    unsigned value = 0, pending = 0;
    const auto add = [&](const char* name, unsigned number, const char* unit) {
      facts.emplace_back(name, std::to_string(number) + unit);
    };
    if (call("nvmlDeviceGetMaxClockInfo", device, kSmClock, &value)) {
      add("largest SM clock", value, " MHz");
    }
    if (call("nvmlDeviceGetMaxClockInfo", device, kMemoryClock, &value)) {
      add("largest memory clock", value, " MHz");
    }
    if (call("nvmlDeviceGetApplicationsClock", device, kSmClock, &value)) {
      add("application SM clock", value, " MHz");
    }
    if (call("nvmlDeviceGetPowerManagementLimit", device, &value)) {
      add("power limit", value / 1000, " W");
    }
    if (call("nvmlDeviceGetEccMode", device, &value, &pending)) {
      facts.emplace_back("ECC", value ? "on" : "off");
    }
  }
  call("nvmlShutdown");
  return facts;
}

}  // namespace assay
