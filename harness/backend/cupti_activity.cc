#include "harness/backend/cupti_activity.h"

#include "harness/backend/cuda_handles.h"
#include "harness/backend/cuda_kernels.h"
#include "harness/backend/cupti_library.h"

#if __has_include(<cupti.h>)
#include <cupti.h>
#include <cxxabi.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <mutex>
#include <type_traits>

namespace assay {
namespace {

// One kernel, copy or fill.
struct Activity {
  std::string name;
  std::uint64_t begin = 0, end = 0;  // nanoseconds
  bool is_kernel = true;
};

// What the library's own thread has handed over so far.
struct Collected {
  std::mutex mutex;
  std::vector<Activity> activities;
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

constexpr const char* kMarkerName = "cuda_backend::marker";  // as short_name gives it

constexpr std::size_t kBufferBytes = 1 << 20;

void CUPTIAPI give_buffer(std::uint8_t** buffer, std::size_t* size, std::size_t* most_records) {
  *buffer = static_cast<std::uint8_t*>(std::aligned_alloc(8, kBufferBytes));
  *size = *buffer ? kBufferBytes : 0;
  *most_records = 0;  // as many as fit
}

template <class Record>
void note(const CUpti_Activity* activity, std::string name) {
  const auto& record = *reinterpret_cast<const Record*>(activity);
  collected().activities.push_back(
      {std::move(name), record.start, record.end, std::is_same_v<Record, CUpti_ActivityKernel10>});
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
    for (const CUpti_ActivityKind kind : kKinds)
      check_cupti(enable(kind), "recording what the device does");
  }
  ~Recording() {
    for (const CUpti_ActivityKind kind : kKinds) disable_(kind);
  }
  Recording(const Recording&) = delete;
  Recording& operator=(const Recording&) = delete;

  void flush() { check_cupti(flush_(CUPTI_ACTIVITY_FLAG_FLUSH_FORCED), "reading its records"); }

 private:
  const CuptiLibrary& library_ = CuptiLibrary::get();
  decltype(cuptiActivityDisable)* disable_ =
      library_.find<decltype(cuptiActivityDisable)>("cuptiActivityDisable");
  decltype(cuptiActivityFlushAll)* flush_ =
      library_.find<decltype(cuptiActivityFlushAll)>("cuptiActivityFlushAll");
};

TracedLaunch summarise(const std::vector<Activity>& activities) {
  TracedLaunch launch;
  std::uint64_t end = 0;
  for (const Activity& activity : activities) {
    launch.kernels.push_back({activity.name,
                              static_cast<double>(activity.end - activity.begin) * 1e-9,
                              activity.is_kernel});
    end = std::max(end, activity.end);
  }
  if (!activities.empty())
    launch.seconds = static_cast<double>(end - activities.front().begin) * 1e-9;
  return launch;
}

// What ran between the markers of each launch, in the order of the stream.
std::vector<TracedLaunch> sort_out(std::size_t count) {
  Collected& all = collected();
  const std::lock_guard lock(all.mutex);
  std::sort(all.activities.begin(), all.activities.end(),
            [](const Activity& a, const Activity& b) { return a.begin < b.begin; });
  std::vector<TracedLaunch> traced;
  std::vector<Activity> between;
  bool inside = false;
  for (const Activity& activity : all.activities) {
    if (activity.name != kMarkerName) {
      if (inside) between.push_back(activity);
      continue;
    }
    if (inside) traced.push_back(summarise(between));
    between.clear();
    inside = !inside;
  }
  if (traced.size() != count)
    throw EnvironmentError("CUPTI recorded " + std::to_string(traced.size()) + " of " +
                           std::to_string(count) + " launches, in " +
                           std::to_string(all.activities.size()) + " records");
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
          launch_marker(handle);
          (*launches[i].launch)(stream);
          launch_marker(handle);
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
