#include "harness/backend/cupti_activity.h"

#include "harness/backend/cuda_handles.h"
#include "harness/backend/cupti_library.h"

#if __has_include(<cupti.h>)
#include <cupti.h>
#include <cxxabi.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <mutex>

namespace assay {
namespace {

// One kernel, copy or fill.
struct Activity {
  std::string name;
  std::uint64_t begin = 0, end = 0;  // nanoseconds
};

// What the library's own thread has handed over so far.
struct Collected {
  std::mutex mutex;
  std::map<std::uint32_t, Activity> activities;      // by correlation id
  std::map<std::uint32_t, std::uint64_t> launch_of;  // correlation id to the number of a launch
};

Collected& collected() {
  static Collected instance;
  return instance;
}

// "void assay::cuda::attnres_fwd_fused::fused<…>(…)" as "attnres_fwd_fused::fused<…>".
std::string short_name(const char* mangled) {
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> demangled(
      abi::__cxa_demangle(mangled, nullptr, nullptr, &status), std::free);
  std::string text = status == 0 ? demangled.get() : mangled;
  // The arguments of the function begin at the last parenthesis that is not within brackets.
  int depth = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    depth += text[i] == '<' ? 1 : text[i] == '>' ? -1 : 0;
    if (text[i] == '(' && depth == 0 && i > 0 && text.compare(i, 11, "(anonymous ") != 0) {
      text.resize(i);
      break;
    }
  }
  for (const char* prefix : {"void ", "assay::cuda::", "assay::"})
    if (text.rfind(prefix, 0) == 0) text.erase(0, std::string(prefix).size());
  return text;
}

constexpr std::size_t kBufferBytes = 1 << 20;

void CUPTIAPI give_buffer(std::uint8_t** buffer, std::size_t* size, std::size_t* most_records) {
  *buffer = static_cast<std::uint8_t*>(std::aligned_alloc(8, kBufferBytes));
  *size = *buffer ? kBufferBytes : 0;
  *most_records = 0;  // as many as fit
}

template <class Record>
void note(const CUpti_Activity* activity, std::string name) {
  const auto& record = *reinterpret_cast<const Record*>(activity);
  collected().activities[record.correlationId] = {std::move(name), record.start, record.end};
}

void CUPTIAPI take_buffer(CUcontext /*context*/, std::uint32_t /*stream*/, std::uint8_t* buffer,
                          std::size_t /*size*/, std::size_t valid_bytes) {
  static auto* const next =
      CuptiLibrary::get().find<decltype(cuptiActivityGetNextRecord)>("cuptiActivityGetNextRecord");
  const std::lock_guard lock(collected().mutex);
  for (CUpti_Activity* record = nullptr;
       next(buffer, valid_bytes, &record) == CUPTI_SUCCESS && record != nullptr;) {
    if (record->kind == CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL) {
      note<CUpti_ActivityKernel10>(
          record, short_name(reinterpret_cast<CUpti_ActivityKernel10*>(record)->name));
    } else if (record->kind == CUPTI_ACTIVITY_KIND_MEMCPY) {
      note<CUpti_ActivityMemcpy6>(record, "copy");
    } else if (record->kind == CUPTI_ACTIVITY_KIND_MEMSET) {
      note<CUpti_ActivityMemset4>(record, "fill");
    } else if (record->kind == CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION) {
      const auto& link = *reinterpret_cast<const CUpti_ActivityExternalCorrelation*>(record);
      collected().launch_of[link.correlationId] = link.externalId;
    }
  }
  std::free(buffer);
}

void check_cupti(CUptiResult status, const std::string& what) {
  if (status != CUPTI_SUCCESS)
    throw EnvironmentError("CUPTI, " + what + ": " + cupti_advice(static_cast<int>(status)));
}

constexpr CUpti_ActivityKind kKinds[] = {CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL,
                                         CUPTI_ACTIVITY_KIND_MEMCPY, CUPTI_ACTIVITY_KIND_MEMSET,
                                         CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION};

// Records during its life.
class Recording {
 public:
  Recording() {
    const CuptiLibrary& library = CuptiLibrary::get();
    static const bool registered = [&] {
      check_cupti(library.find<decltype(cuptiActivityRegisterCallbacks)>(
                      "cuptiActivityRegisterCallbacks")(give_buffer, take_buffer),
                  "handing it buffers");
      return true;
    }();
    static_cast<void>(registered);
    auto* const enable = library.find<decltype(cuptiActivityEnable)>("cuptiActivityEnable");
    collected().activities.clear();
    collected().launch_of.clear();
    for (const CUpti_ActivityKind kind : kKinds)
      check_cupti(enable(kind), "recording what the device does");
  }
  ~Recording() {
    for (const CUpti_ActivityKind kind : kKinds) disable_(kind);
  }
  Recording(const Recording&) = delete;
  Recording& operator=(const Recording&) = delete;

  // What is launched until leave() belongs to this number.
  void enter(std::uint64_t number) {
    check_cupti(push_(CUPTI_EXTERNAL_CORRELATION_KIND_CUSTOM0, number), "naming a launch");
  }
  void leave() {
    std::uint64_t number = 0;
    check_cupti(pop_(CUPTI_EXTERNAL_CORRELATION_KIND_CUSTOM0, &number), "naming a launch");
  }
  void flush() { check_cupti(flush_(CUPTI_ACTIVITY_FLAG_FLUSH_FORCED), "reading its records"); }

 private:
  const CuptiLibrary& library_ = CuptiLibrary::get();
  decltype(cuptiActivityDisable)* disable_ =
      library_.find<decltype(cuptiActivityDisable)>("cuptiActivityDisable");
  decltype(cuptiActivityFlushAll)* flush_ =
      library_.find<decltype(cuptiActivityFlushAll)>("cuptiActivityFlushAll");
  decltype(cuptiActivityPushExternalCorrelationId)* push_ =
      library_.find<decltype(cuptiActivityPushExternalCorrelationId)>(
          "cuptiActivityPushExternalCorrelationId");
  decltype(cuptiActivityPopExternalCorrelationId)* pop_ =
      library_.find<decltype(cuptiActivityPopExternalCorrelationId)>(
          "cuptiActivityPopExternalCorrelationId");
};

std::vector<TracedLaunch> sort_out(std::size_t count) {
  Collected& all = collected();
  const std::lock_guard lock(all.mutex);
  std::vector<std::vector<Activity>> by_launch(count);
  for (const auto& [correlation, activity] : all.activities) {
    const auto launch = all.launch_of.find(correlation);
    if (launch != all.launch_of.end() && launch->second < count)
      by_launch[launch->second].push_back(activity);
  }
  std::vector<TracedLaunch> traced;
  for (std::vector<Activity>& activities : by_launch) {
    if (activities.empty()) continue;
    std::sort(activities.begin(), activities.end(),
              [](const Activity& a, const Activity& b) { return a.begin < b.begin; });
    TracedLaunch launch;
    std::uint64_t end = 0;
    for (const Activity& activity : activities) {
      launch.kernels.push_back(
          {activity.name, static_cast<double>(activity.end - activity.begin) * 1e-9});
      end = std::max(end, activity.end);
    }
    launch.seconds = static_cast<double>(end - activities.front().begin) * 1e-9;
    traced.push_back(std::move(launch));
  }
  return traced;
}

}  // namespace

std::vector<TracedLaunch> cupti_trace(const std::vector<TimedLaunch>& launches, Stream stream,
                                      const std::function<std::shared_ptr<void>()>& hold,
                                      std::string& why_not) {
  constexpr std::size_t kBatch = 16;  // of launches that wait behind the spinning kernel
  if (!CuptiLibrary::get().is_there()) {
    why_not = CuptiLibrary::why_missing();
    return {};
  }
  auto* const handle = static_cast<cudaStream_t>(stream.handle);
  try {
    Recording recording;
    for (std::size_t begin = 0; begin < launches.size(); begin += kBatch) {
      {
        const std::shared_ptr<void> held = hold();
        for (std::size_t i = begin; i < std::min(begin + kBatch, launches.size()); ++i) {
          if (launches[i].before) (*launches[i].before)(stream);
          recording.enter(i);
          (*launches[i].launch)(stream);
          recording.leave();
        }
      }
      check(cudaStreamSynchronize(handle), "running launches that CUPTI records");
    }
    recording.flush();
    return sort_out(launches.size());
  } catch (const DeviceLost&) {
    throw;
  } catch (const EnvironmentError& error) {
    why_not = error.what();
    return {};
  }
}

}  // namespace assay

#else  // built without CUPTI's headers

namespace assay {

std::vector<TracedLaunch> cupti_trace(const std::vector<TimedLaunch>&, Stream,
                                      const std::function<std::shared_ptr<void>()>&,
                                      std::string& why_not) {
  why_not = "this program was built without CUPTI's headers (package cuda-cupti-dev)";
  return {};
}

}  // namespace assay

#endif
