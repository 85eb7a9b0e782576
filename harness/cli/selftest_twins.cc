// assay selftest twins: every wrapper of
// kernels/device on each backend, word by word against the definition of its instruction.
#include <fmt/format.h>

#include <cstdio>
#include <map>
#include <memory>
#include <optional>

#include "harness/backend/backend.h"
#include "harness/cli/commands.h"
#include "harness/core/error.h"
#include "harness/core/registry.h"
#include "harness/engine/twins.h"

namespace assay {
namespace {

using Outcome = TwinResult::Status;

constexpr Backend kTwins[] = {Backend::simt, Backend::cuda};

// The devices of the backends that have a twin: those that were named, or all that are here. simt
// imitates the architecture of the GPU that it is compared with.
std::vector<std::unique_ptr<Device>> open_twins(const std::vector<std::string>& names) {
  std::vector<Backend> wanted;
  for (const std::string& text : names) {
    const auto backend = parse_backend(text);
    if (backend == Backend::cpu) {
      throw UsageError("backend `cpu` runs no CUDA sources, so it has no twin, one of: simt, cuda");
    }
    if (!backend) {
      throw UsageError(
          fmt::format("unknown backend `{}`{}", text, suggestion(text, {"simt", "cuda"})));
    }
    wanted.push_back(*backend);
  }
  std::unique_ptr<Device> simt, cuda;
  for (const Backend backend : kTwins) {
    const bool named = std::find(wanted.begin(), wanted.end(), backend) != wanted.end();
    if (!wanted.empty() && !named) continue;
    Platform* platform = find_platform(backend);
    if (!platform || platform->devices().empty()) {
      const std::string why = platform ? platform->why_none() : "not built into this binary";
      if (named) throw UsageError(fmt::format("backend {}: {}", name(backend), why));
      fmt::print("{}: none, {}\n", name(backend), why);
      continue;
    }
    if (backend == Backend::cuda) cuda = platform->open(0);
    if (backend == Backend::simt) simt = platform->open(0);
  }
  if (simt && cuda) {
    Platform* platform = find_platform(Backend::simt);
    for (const DeviceInfo& info : platform->devices()) {
      if (info.arch == cuda->info().arch) simt = platform->open(info.index);
    }
  }
  std::vector<std::unique_ptr<Device>> devices;
  for (std::unique_ptr<Device>* device : {&simt, &cuda}) {
    if (*device) devices.push_back(std::move(*device));
  }
  for (const auto& device : devices) {
    fmt::print("{}: {}\n", name(device->info().backend), device->info().name);
  }
  return devices;
}

// A line of the table: what each backend made of one check or refusal. The name comes before the
// runs, so that one which hangs a GPU is known.
class Line {
 public:
  explicit Line(const std::string& title) {
    fmt::print("{:<36}", title);
    std::fflush(stdout);
  }
  void add(Backend backend, const TwinResult& result) {
    fmt::print("{:<8}", name(result.status));
    std::fflush(stdout);
    if (result.status == Outcome::failed) fail(fmt::format("{}: {}", name(backend), result.text));
    if (result.status == Outcome::unsupported) {
      note(fmt::format("{}: {}", name(backend), result.text));
    }
  }
  void note(const std::string& text) { notes_ += (notes_.empty() ? "" : "; ") + text; }
  void fail(const std::string& text) { failures_.push_back(text); }
  bool failed() const { return !failures_.empty(); }
  void end() const {
    fmt::print("{}\n", notes_);
    for (const std::string& text : failures_) fmt::print("    {}\n", text);
    std::fflush(stdout);
  }

 private:
  std::string notes_;
  std::vector<std::string> failures_;
};

struct Count {
  int checks = 0, failed = 0;
  std::map<Backend, int> passed;
};

template <class T>
const T* twin_on(const std::vector<const T*>& all, const std::string& title, Backend backend) {
  for (const T* item : all) {
    if (item->name == title && item->backend == backend) return item;
  }
  return nullptr;
}

// Calls one(line, twins of that name by device) for each name that matches.
template <class T, class F>
void for_each_name(const std::vector<const T*>& all, const SelftestArguments& arguments,
                   const std::vector<std::unique_ptr<Device>>& devices, Count& count,
                   const F& one) {
  std::string last;
  for (const T* item : all) {
    if (item->name == last) continue;
    last = item->name;
    bool matches = arguments.checks.empty();
    for (const std::string& glob : arguments.checks) matches = matches || glob_match(glob, last);
    if (!matches) continue;
    std::vector<const T*> twins;
    for (const auto& device : devices) {
      twins.push_back(twin_on(all, last, device->info().backend));
    }
    Line line(last);
    one(line, twins);
    line.end();
    ++count.checks;
    if (line.failed()) ++count.failed;
  }
}

void show_numbers(Line& line, const TwinCheck& check, const std::vector<TwinResult>& results,
                  const std::vector<std::unique_ptr<Device>>& devices) {
  if (check.bound > 0) {
    std::string errors;
    for (std::size_t i = 0; i < results.size(); ++i) {
      if (results[i].words.empty()) continue;
      errors += fmt::format("{}{:.3g} on {}", errors.empty() ? "" : ", ", results[i].error,
                            name(devices[i]->info().backend));
    }
    line.note(fmt::format("error {}, bound {:.3g} ({})", errors, check.bound, check.unit));
  }
  if (results.size() != 2 || results[0].words.empty() || results[1].words.empty()) return;
  const TwinDifference difference = compare_twins(check, results[0].words, results[1].words);
  if (difference.words == 0) return line.note("no differences");
  line.note(fmt::format("{} of {} words differ", difference.words, check.outputs));
  if (difference.ulps > 0) line.note(fmt::format("by up to {} ulp", difference.ulps));
  if (check.bound > 0) line.note(fmt::format("{:.3g} ({})", difference.error, check.unit));
}

}  // namespace

int selftest_twins(const SelftestArguments& arguments) {
  const auto devices = open_twins(arguments.backends);
  if (devices.empty()) throw UsageError("no backend with a twin is available");
  Count count;
  fmt::print("{:<36}", "check");
  for (const auto& device : devices) fmt::print("{:<8}", name(device->info().backend));
  fmt::print("\n");

  const auto run = [&](Line& line, const auto& twins, auto&& run_on) {
    std::vector<TwinResult> results;
    for (std::size_t i = 0; i < devices.size(); ++i) {
      const Backend backend = devices[i]->info().backend;
      TwinResult result = {Outcome::failed, "this twin has no such check", 0, {}};
      if (twins[i]) result = run_on(*twins[i], *devices[i]);
      if (result.status == Outcome::passed) ++count.passed[backend];
      line.add(backend, result);
      results.push_back(std::move(result));
    }
    return results;
  };
  for_each_name(twin_checks(), arguments, devices, count, [&](Line& line, const auto& twins) {
    const auto results = run(line, twins, run_twin_check);
    for (const TwinCheck* twin : twins) {
      if (twin) return show_numbers(line, *twin, results, devices);
    }
  });
  for_each_name(twin_refusals(), arguments, devices, count, [&](Line& line, const auto& twins) {
    const auto results = run(line, twins, run_twin_refusal);
    const auto ran = [&](std::size_t i) {
      return i < results.size() && results[i].status == Outcome::passed;
    };
    if (ran(0) && ran(1) && twins[0]->same_words && results[0].text != results[1].text) {
      line.fail("the reasons differ:");
      for (std::size_t i = 0; i < 2; ++i) {
        line.fail(fmt::format("{}: {}", name(devices[i]->info().backend), results[i].text));
      }
    } else if (ran(0) || ran(1)) {
      line.note(results[ran(0) ? 0 : 1].text);
    }
  });

  if (count.checks == 0) throw UsageError("no check matches");
  fmt::print("{} check{}:", count.checks, count.checks == 1 ? "" : "s");
  for (const auto& device : devices) {
    fmt::print(" {} passed on {},", count.passed[device->info().backend],
               name(device->info().backend));
  }
  fmt::print(" {} failed\n", count.failed);
  return count.failed == 0 ? kExitGood : kExitBad;
}

}  // namespace assay
