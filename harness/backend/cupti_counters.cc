#include "harness/backend/cupti_counters.h"

#include "harness/backend/cuda_handles.h"
#include "harness/backend/cupti_library.h"

#if __has_include(<cupti_range_profiler.h>)
#include <cuda.h>
#include <cupti_profiler_host.h>
#include <cupti_profiler_target.h>
#include <cupti_range_profiler.h>
#include <cupti_target.h>

#include <algorithm>
#include <cstdint>

namespace assay {
namespace {

void check_cupti(CUptiResult status, const std::string& what) {
  if (status != CUPTI_SUCCESS)
    throw EnvironmentError("CUPTI, " + what + ": " + cupti_advice(static_cast<int>(status)));
}

// The library's functions take one struct each, whose size they ask for.
template <class Function>
auto* find(Function* /*type*/, const char* name) {
  return CuptiLibrary::get().find<Function>(name);
}
#define ASSAY_CUPTI(function) find(static_cast<decltype(&(function))>(nullptr), #function)

template <class Parameters>
Parameters of_size(std::size_t size) {
  Parameters parameters = {};
  parameters.structSize = size;
  return parameters;
}
#define ASSAY_PARAMETERS(type) of_size<type##_Params>(type##_Params_STRUCT_SIZE)

using Names = std::vector<std::string>;

std::vector<const char*> pointers(const Names& names) {
  std::vector<const char*> result;
  result.reserve(names.size());
  for (const std::string& name : names) result.push_back(name.c_str());
  return result;
}

// The side of the profiler that knows counters by name; needs no GPU.
class Host {
 public:
  explicit Host(const std::string& chip) : chip_(chip) {
    auto p = ASSAY_PARAMETERS(CUpti_Profiler_Host_Initialize);
    p.profilerType = CUPTI_PROFILER_TYPE_RANGE_PROFILER;
    p.pChipName = chip.c_str();
    check_cupti(ASSAY_CUPTI(cuptiProfilerHostInitialize)(&p), "looking up the counters of " + chip);
    host_ = p.pHostObject;
  }
  ~Host() {
    auto p = ASSAY_PARAMETERS(CUpti_Profiler_Host_Deinitialize);
    p.pHostObject = host_;
    deinitialize_(&p);
  }
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  std::vector<std::uint8_t> configure(const Names& names) {
    std::vector<const char*> texts = pointers(names);
    auto add = ASSAY_PARAMETERS(CUpti_Profiler_Host_ConfigAddMetrics);
    add.pHostObject = host_;
    add.ppMetricNames = texts.data();
    add.numMetrics = texts.size();
    if (ASSAY_CUPTI(cuptiProfilerHostConfigAddMetrics)(&add) != CUPTI_SUCCESS)
      throw UsageError("no counter `" + names.front() + "` on " + chip_ +
                       ": names look like dram__bytes_read.sum; `ncu --query-metrics` lists them");
    auto size = ASSAY_PARAMETERS(CUpti_Profiler_Host_GetConfigImageSize);
    size.pHostObject = host_;
    check_cupti(ASSAY_CUPTI(cuptiProfilerHostGetConfigImageSize)(&size), "scheduling counters");
    std::vector<std::uint8_t> image(size.configImageSize);
    auto get = ASSAY_PARAMETERS(CUpti_Profiler_Host_GetConfigImage);
    get.pHostObject = host_;
    get.configImageSize = image.size();
    get.pConfigImage = image.data();
    check_cupti(ASSAY_CUPTI(cuptiProfilerHostGetConfigImage)(&get), "scheduling counters");
    return image;
  }

  static std::size_t passes(std::vector<std::uint8_t>& image) {
    auto p = ASSAY_PARAMETERS(CUpti_Profiler_Host_GetNumOfPasses);
    p.configImageSize = image.size();
    p.pConfigImage = image.data();
    check_cupti(ASSAY_CUPTI(cuptiProfilerHostGetNumOfPasses)(&p), "scheduling counters");
    return p.numOfPasses;
  }

  std::vector<double> evaluate(const std::vector<std::uint8_t>& data, std::size_t range,
                               const Names& names) {
    std::vector<const char*> texts = pointers(names);
    std::vector<double> values(names.size());
    auto p = ASSAY_PARAMETERS(CUpti_Profiler_Host_EvaluateToGpuValues);
    p.pHostObject = host_;
    p.pCounterDataImage = data.data();
    p.counterDataImageSize = data.size();
    p.rangeIndex = range;
    p.ppMetricNames = texts.data();
    p.numMetrics = texts.size();
    p.pMetricValues = values.data();
    check_cupti(ASSAY_CUPTI(cuptiProfilerHostEvaluateToGpuValues)(&p), "evaluating counters");
    return values;
  }

 private:
  std::string chip_;
  decltype(&cuptiProfilerHostDeinitialize) deinitialize_ =
      ASSAY_CUPTI(cuptiProfilerHostDeinitialize);
  CUpti_Profiler_Host_Object* host_ = nullptr;
};

CUcontext current_context() {
  decltype(&cuCtxGetCurrent) function = nullptr;
  cudaDriverEntryPointQueryResult found = {};
  void* address = nullptr;
  check(cudaGetDriverEntryPointByVersion("cuCtxGetCurrent", &address, 12000, cudaEnableDefault,
                                         &found),
        "asking the driver for its context");
  function = reinterpret_cast<decltype(function)>(address);
  CUcontext context = nullptr;
  if (function) function(&context);
  return context;
}

// The side that counts, on a GPU, during its life.
class Target {
 public:
  Target() {
    auto p = ASSAY_PARAMETERS(CUpti_RangeProfiler_Enable);
    p.ctx = current_context();
    check_cupti(ASSAY_CUPTI(cuptiRangeProfilerEnable)(&p), "starting to count");
    object_ = p.pRangeProfilerObject;
  }
  ~Target() {
    auto p = ASSAY_PARAMETERS(CUpti_RangeProfiler_Disable);
    p.pRangeProfilerObject = object_;
    disable_(&p);
  }
  Target(const Target&) = delete;
  Target& operator=(const Target&) = delete;

  // Counts over each kernel of run(); returns what Host::evaluate() reads, and the number of
  // kernels.
  template <class Run>
  std::pair<std::vector<std::uint8_t>, std::size_t> count(const Names& names,
                                                          const std::vector<std::uint8_t>& config,
                                                          const Run& run) {
    constexpr std::size_t kMostKernels = 256;  // of one launch
    std::vector<const char*> texts = pointers(names);
    auto size = ASSAY_PARAMETERS(CUpti_RangeProfiler_GetCounterDataSize);
    size.pRangeProfilerObject = object_;
    size.pMetricNames = texts.data();
    size.numMetrics = texts.size();
    size.maxNumOfRanges = kMostKernels;
    size.maxNumRangeTreeNodes = kMostKernels;
    check_cupti(ASSAY_CUPTI(cuptiRangeProfilerGetCounterDataSize)(&size), "preparing to count");
    std::vector<std::uint8_t> data(size.counterDataSize);
    auto initialize = ASSAY_PARAMETERS(CUpti_RangeProfiler_CounterDataImage_Initialize);
    initialize.pRangeProfilerObject = object_;
    initialize.counterDataSize = data.size();
    initialize.pCounterData = data.data();
    check_cupti(ASSAY_CUPTI(cuptiRangeProfilerCounterDataImageInitialize)(&initialize),
                "preparing to count");
    auto set = ASSAY_PARAMETERS(CUpti_RangeProfiler_SetConfig);
    set.pRangeProfilerObject = object_;
    set.configSize = config.size();
    set.pConfig = config.data();
    set.counterDataImageSize = data.size();
    set.pCounterDataImage = data.data();
    set.range = CUPTI_AutoRange;
    set.replayMode = CUPTI_KernelReplay;
    set.maxRangesPerPass = kMostKernels;
    set.numNestingLevels = 1;
    set.minNestingLevel = 1;
    set.passIndex = 0;
    set.targetNestingLevel = 1;
    check_cupti(ASSAY_CUPTI(cuptiRangeProfilerSetConfig)(&set), "preparing to count");

    auto start = ASSAY_PARAMETERS(CUpti_RangeProfiler_Start);
    start.pRangeProfilerObject = object_;
    check_cupti(ASSAY_CUPTI(cuptiRangeProfilerStart)(&start), "starting to count");
    run();
    auto stop = ASSAY_PARAMETERS(CUpti_RangeProfiler_Stop);
    stop.pRangeProfilerObject = object_;
    check_cupti(ASSAY_CUPTI(cuptiRangeProfilerStop)(&stop), "counting");
    auto decode = ASSAY_PARAMETERS(CUpti_RangeProfiler_DecodeData);
    decode.pRangeProfilerObject = object_;
    check_cupti(ASSAY_CUPTI(cuptiRangeProfilerDecodeData)(&decode), "reading counters");
    auto info = ASSAY_PARAMETERS(CUpti_RangeProfiler_GetCounterDataInfo);
    info.pCounterDataImage = data.data();
    info.counterDataImageSize = data.size();
    check_cupti(ASSAY_CUPTI(cuptiRangeProfilerGetCounterDataInfo)(&info), "reading counters");
    return {std::move(data), info.numTotalRanges};
  }

 private:
  decltype(&cuptiRangeProfilerDisable) disable_ = ASSAY_CUPTI(cuptiRangeProfilerDisable);
  CUpti_RangeProfiler_Object* object_ = nullptr;
};

std::string chip_of(int device) {
  auto initialize = ASSAY_PARAMETERS(CUpti_Profiler_Initialize);
  check_cupti(ASSAY_CUPTI(cuptiProfilerInitialize)(&initialize), "starting the profiler");
  auto p = ASSAY_PARAMETERS(CUpti_Device_GetChipName);
  p.deviceIndex = static_cast<std::size_t>(device);
  check_cupti(ASSAY_CUPTI(cuptiDeviceGetChipName)(&p), "asking for the chip's name");
  return p.pChipName;
}

}  // namespace

std::vector<Names> cupti_groups(const std::string& chip, const Names& names) {
  std::vector<Names> groups;
  for (const std::string& name : names) {
    Host(chip).configure({name});  // says which one is unknown
    if (!groups.empty()) {
      Names together = groups.back();
      together.push_back(name);
      std::vector<std::uint8_t> image = Host(chip).configure(together);
      if (Host::passes(image) == 1) {
        groups.back() = std::move(together);
        continue;
      }
    }
    groups.push_back({name});
  }
  return groups;
}

void cupti_require(int device, const Names& names) {
  if (names.empty() || !CuptiLibrary::get().is_there()) return;
  std::string chip;
  try {
    chip = chip_of(device);
  } catch (const EnvironmentError&) {
    return;  // counting will say why
  }
  for (const std::string& name : names) Host(chip).configure({name});
}

std::vector<CountedKernel> cupti_count(int device, const std::vector<TimedLaunch>& launches,
                                       Stream stream, const Names& names, std::string& why_not) {
  if (!CuptiLibrary::get().is_there()) {
    why_not = CuptiLibrary::why_missing();
    return {};
  }
  const auto wait = [&] {
    check(cudaStreamSynchronize(static_cast<cudaStream_t>(stream.handle)),
          "running launches whose counters are read");
  };
  try {
    const std::string chip = chip_of(device);
    const std::vector<Names> groups = cupti_groups(chip, names);
    std::vector<CountedKernel> kernels;
    for (std::size_t g = 0; g < groups.size(); ++g) {
      const TimedLaunch& launch = launches[g % launches.size()];
      if (launch.before) (*launch.before)(stream);
      wait();
      Host host(chip);
      const std::vector<std::uint8_t> config = host.configure(groups[g]);
      Target target;
      const auto [data, count] = target.count(groups[g], config, [&] {
        (*launch.launch)(stream);
        wait();
      });
      kernels.resize(std::max(kernels.size(), count));
      for (std::size_t k = 0; k < count; ++k) {
        const std::vector<double> values = host.evaluate(data, k, groups[g]);
        for (std::size_t i = 0; i < values.size(); ++i)
          kernels[k].emplace_back(groups[g][i], values[i]);
      }
    }
    if (kernels.empty()) why_not = "CUPTI counted nothing: the launch ran no kernel";
    return kernels;
  } catch (const DeviceLost&) {
    throw;
  } catch (const std::runtime_error& error) {
    why_not = std::string("counters: ") + error.what();
    return {};
  }
}

}  // namespace assay

#else  // built without CUPTI's headers

namespace assay {

std::vector<CountedKernel> cupti_count(int, const std::vector<TimedLaunch>&, Stream,
                                       const std::vector<std::string>&, std::string& why_not) {
  why_not = "counters: this program was built without CUPTI's headers (package cuda-cupti-dev)";
  return {};
}

void cupti_require(int, const std::vector<std::string>&) {}

std::vector<std::vector<std::string> > cupti_groups(const std::string&,
                                                    const std::vector<std::string>&) {
  return {};
}

}  // namespace assay

#endif
